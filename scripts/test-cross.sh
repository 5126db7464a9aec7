#!/usr/bin/env bash
# Builds siskin for other devices and checks the programs: what they contain (scripts/check-binary.sh), and
# that they write the same bytes and greedy tokens as this machine's build, under an emulator of the device's
# CPU (tests/through_binary/cross.rs). What is not available here is skipped, with the reason.
#
#   scripts/test-cross.sh [PROFILE...]     default: raspberry-pi-5 aarch64-generic armv7
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/apt.sh
source scripts/apt.sh
# shellcheck source=scripts/profile.sh
source scripts/profile.sh

# find_runner PROFILE: sets `runner`, the words that start the profile's program here. If nothing can run it,
# prints one line and returns 1.
find_runner() {
    local cpu arch prefix isa
    cpu=$(profile_field "$1" build qemu_cpu) arch=$(profile_field "$1" build triple) prefix=$(profile_field "$1" build cross_prefix)
    arch=${arch%%-*}
    [[ $arch == arm* ]] && arch=arm
    runner=()
    if [[ -z $cpu ]]; then
        # There is no emulator for it: use this machine, if it has what the profile needs.
        for isa in $(profile_field "$1" build isa); do
            if [[ $arch != "$(uname -m)" ]] || ! grep -qwE "$isa|${isa/sse42/sse4_2}|${isa/avx512/avx512f}" /proc/cpuinfo; then
                echo "skipped: $1 is built and checked, not run: this machine has no $isa, and qemu emulates no CPU that has it"
                return 1
            fi
        done
        return
    fi
    if ! command -v "qemu-$arch-static" >/dev/null && ! install_packages test-cross qemu-user-static; then
        echo "skipped: $1 is built and checked, not run: no qemu-$arch-static"
        return 1
    fi
    runner=("qemu-$arch-static" -cpu "$cpu")
    [[ $arch == "$(uname -m)" ]] || runner+=(-L "/usr/$prefix")
}

# Every program must start on the oldest CPU of its architecture, because there it reports what the CPU lacks.
declare -A oldest=([aarch64]=cortex-a53 [arm]=cortex-a7 [x86_64]=qemu64)
check_start() {
    [[ ${#runner[@]} -gt 0 ]] || return 0
    local arch=${runner[0]#qemu-}
    arch=${arch%-static}
    "${runner[0]}" -cpu "${oldest[$arch]}" "${runner[@]:3}" "target/cross/$1/siskin" --version >/dev/null || {
        echo "test-cross: $1: the program does not start on ${oldest[$arch]}" >&2
        exit 1
    }
}

[[ $# -gt 0 ]] || set -- raspberry-pi-5 aarch64-generic armv7
for profile in "$@"; do
    profile_check test-cross "$profile" || exit 2
    code=0
    scripts/cross.sh "$profile" || code=$?
    if [[ $code -eq 69 ]]; then
        echo "skipped: $profile: what the line above names is not available here"
        continue
    fi
    [[ $code -eq 0 ]] || exit "$code"
    scripts/check-binary.sh "$profile"
    find_runner "$profile" || continue
    check_start "$profile"
    echo "test-cross: $profile: ${runner[*]} target/cross/$profile/siskin"
    SISKIN_CROSS="${runner[*]} $PWD/target/cross/$profile/siskin" \
        cargo test --release --locked --test through_binary cross:: -- --nocapture --ignored
done
