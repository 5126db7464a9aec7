//! Says if this CPU may be one without kernels. On such a CPU the other checks have nothing to check, so they
//! would pass unseen.

/// Fails if `none` (this CPU has no kernels) is not what the caller of the tests expects:
/// `SISKIN_NO_KERNELS`, which scripts/test-aarch64.sh sets for a CPU that the kernels must refuse, wants none; CI
/// wants some on every other CPU.
pub(crate) fn check(none: bool) {
    let is_set = |name| std::env::var_os(name).is_some();
    if is_set("SISKIN_NO_KERNELS") {
        assert!(none, "kernels for a CPU that they must refuse");
    } else {
        assert!(!none || !is_set("CI"), "no kernels for this CPU");
    }
}
