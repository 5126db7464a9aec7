#!/usr/bin/env bash
# Tests the NEON code under qemu. Compares siskin-quant's kernels, on the CPU of a Raspberry Pi 5, with the
# portable ones and with the bytes recorded on x86-64 (quant/tests/kernels.rs). Compares siskin-kernels'
# products and attention with f64: on the CPU of a Raspberry Pi 5, on one with all features that qemu has, and
# on one that the kernels must refuse. On an aarch64 machine `make test` does this without an emulator. What
# is not available is skipped, with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/apt.sh
source scripts/apt.sh
# shellcheck source=scripts/rust-std.sh
source scripts/rust-std.sh

skip() {
    echo "skipped: NEON under qemu: $1"
    exit 0
}

triple=aarch64-unknown-linux-gnu
[[ $(uname -m) != aarch64 ]] || skip "this machine is aarch64; make test ran it"
for tool in aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu qemu-aarch64-static:qemu-user-static; do
    command -v "${tool%%:*}" >/dev/null || install_packages test-aarch64 "${tool##*:}" libc6-dev-arm64-cross ||
        skip "no ${tool%%:*}"
done
rust_std test-aarch64 "$triple" || skip "no standard library for $triple"
# The test harness unwinds, so the standard library is built with unwinding.
[[ ${#std_args[@]} -eq 0 ]] || std_args=(-Z build-std)

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
emulated() {
    local cpu=$1
    shift
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu -cpu $cpu"
    echo "as $cpu:"
    RUSTFLAGS="" "${cargo[@]}" test --release --locked "${std_args[@]}" --target "$triple" --target-dir target/aarch64 "$@"
}
# Tests that start themselves cannot under an emulator, and whole conversions and readers of files say nothing about NEON.
emulated cortex-a76 -p siskin-quant --lib --test kernels -- --skip arriving::tests --skip pickle
for cpu in cortex-a76 max; do emulated "$cpu" -p siskin-kernels; done
# Cortex-A53 has no dotprod: the kernels must refuse it.
SISKIN_NO_KERNELS=1 emulated cortex-a53 -p siskin-kernels
