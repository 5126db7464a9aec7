#!/usr/bin/env bash
# Installs what the build needs in addition to Rust: cmake, libclang and a C++ compiler, for llama.cpp.
# Uses apt, as root or with sudo; otherwise it names what is missing. Safe to run again.
set -euo pipefail
# shellcheck source=scripts/apt.sh
source "$(dirname "$0")/apt.sh"

missing=()
command -v cmake >/dev/null || missing+=(cmake)
command -v make >/dev/null || missing+=(make)
command -v c++ >/dev/null || missing+=(g++)
# bindgen loads libclang and needs clang's own headers (stddef.h); the -dev package contains both.
# libclang-cpp.so, which other packages contain, is another library.
has_libclang() {
    local pattern
    for pattern in "/usr/lib/llvm-*/lib/libclang.so*" "/usr/lib/llvm-*/lib/libclang-[0-9]*.so*"; do
        compgen -G "$pattern" >/dev/null && return
    done
    [[ -n ${LIBCLANG_PATH:-} ]]
}
has_libclang || missing+=(libclang-dev)

if ! command -v cargo >/dev/null && [[ ! -x $HOME/.cargo/bin/cargo ]]; then
    echo "setup: no cargo found; install Rust from https://rustup.rs, then run this again" >&2
    exit 1
fi
[[ ${#missing[@]} -eq 0 ]] && exit 0

install_packages setup "${missing[@]}"
