//! Starts this process again as another program.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Replaces the program of this process, as execve(2) does: with these arguments (the first is the program's name) and
/// this environment. Unlike `std::os::unix::process::CommandExt::exec` it never hands a program to a shell that the
/// kernel cannot execute, as one of another machine's that runs under an emulator.
///
/// # Errors
/// The system refuses; the process goes on as it was.
pub fn restart(
    program: &Path,
    arguments: &[OsString],
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> io::Result<Infallible> {
    let text = |text: &OsStr| CString::new(text.as_bytes()).map_err(io::Error::from);
    let program = text(program.as_os_str())?;
    let arguments: Vec<CString> = arguments.iter().map(|one| text(one)).collect::<io::Result<_>>()?;
    let environment: Vec<CString> = environment
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            text(&name)
        })
        .collect::<io::Result<_>>()?;
    let pointers = |texts: &[CString]| {
        let texts = texts.iter().map(|text| text.as_ptr());
        texts.chain([std::ptr::null()]).collect::<Vec<_>>()
    };
    let (argv, envp) = (pointers(&arguments), pointers(&environment));
    // SAFETY: the program and every entry of the two lists end with a zero byte, the lists end with a null pointer, and
    // all of them live until the call returns, which it does only if it fails.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    Err(io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_the_kernel_cannot_execute_is_refused_and_the_process_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("program");
        // A shell would take it for a script.
        std::fs::write(&path, "exit 7\n").expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let error = restart(&path, &["program".into()], std::env::vars_os()).expect_err("no program");
        assert_eq!(error.raw_os_error(), Some(libc::ENOEXEC));
        let error = restart(
            &folder.path().join("none"),
            &["program".into()],
            std::iter::empty(),
        )
        .expect_err("no file");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
