#!/usr/bin/env bash
# Builds siskin for a device in targets/*.toml and writes the stripped program to target/cross/PROFILE/siskin.
#
#   scripts/cross.sh             lists the profiles
#   scripts/cross.sh PROFILE     builds for one
#
# Uses cross (https://github.com/cross-rs/cross) if it is installed and Docker or Podman runs. Otherwise it
# uses the distribution's cross compiler, and installs it if it may. SISKIN_CROSS_WITH=cross or =compiler
# chooses one. Exit codes: 0 built, 1 not built, 2 no such profile, 69 this machine lacks something that the
# build needs.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/apt.sh
source scripts/apt.sh
# shellcheck source=scripts/profile.sh
source scripts/profile.sh
# shellcheck source=scripts/rust-std.sh
source scripts/rust-std.sh
unavailable=69

if [[ $# -eq 0 ]]; then
    echo "usage: make cross TARGET=PROFILE, where PROFILE is one of"
    profile_table
    exit 0
fi
profile=$1
profile_check cross "$profile" || exit 2
field() { profile_field "$profile" build "$1"; }
triple=$(field triple) prefix=$(field cross_prefix)
if [[ -z $triple || -z $prefix ]]; then
    echo "cross: targets/$profile.toml: [build] needs triple and cross_prefix" >&2
    exit 1
fi
dir=target/cross/$profile

# Prints the container engine in which cross can run, or nothing.
engine() {
    command -v cross >/dev/null || return 0
    local engine
    for engine in docker podman; do
        if command -v "$engine" >/dev/null && timeout 20 "$engine" info >/dev/null 2>&1; then
            echo "$engine"
            return
        fi
    done
}

# Sets what both ways of building need: flags for Rust, C and C++, and the profile's settings for llama.cpp's
# build.
set_environment() {
    local under=${triple//-/_} cpu features
    cpu=$(field target_cpu) features=$(field target_features | paste -sd,)
    # Keeps paths of this machine out of the program.
    local maps=("${CARGO_HOME:-$HOME/.cargo}=/cargo" "$PWD=/siskin")
    local c_flags=${maps[*]/#/-ffile-prefix-map=}
    export "CC_$under=$prefix-gcc" "CXX_$under=$prefix-g++" "AR_$under=$prefix-ar"
    export "CFLAGS_$under=$c_flags" "CXXFLAGS_$under=$c_flags"
    export "BINDGEN_EXTRA_CLANG_ARGS_$under="
    if [[ -d /usr/$prefix/include ]]; then
        export "BINDGEN_EXTRA_CLANG_ARGS_$under=--sysroot=/usr/$prefix -I/usr/$prefix/include"
    fi
    # llama-cpp-sys-2 passes a `target-cpu` that it sees to the C compiler as -march, which takes no CPU names
    # on ARM. It does not see `target_cpu`, which rustc accepts too. RUSTFLAGS overrides `native` of
    # .cargo/config.toml.
    RUSTFLAGS="-C target_cpu=${cpu:-generic}${features:+ -C target-feature=$features}"
    maps+=("${RUSTUP_HOME:-$HOME/.rustup}/toolchains=/rust")
    RUSTFLAGS+=" -C linker=$PWD/scripts/static-linker.sh ${maps[*]/#/--remap-path-prefix=}"
    # Relocations of pointers into the program itself take 10 KB instead of 320; glibc supports this form
    # since 2.36.
    RUSTFLAGS+=" -C link-arg=-Wl,-z,pack-relative-relocs,-O2"
    export RUSTFLAGS SISKIN_LINKER="$prefix-gcc"
    local include
    include=$(field cmake_include)
    export CMAKE_PROJECT_INCLUDE_BEFORE=${include:+$PWD/targets/$include}
    # Profiles differ only in ggml's kernels: with ccache the rest of llama.cpp is compiled once for all of
    # them.
    export CCACHE_DIR=$PWD/target/cross/ccache
}

# CMake configures only once: if the settings have changed, llama.cpp's build must start again.
forget_other_settings() {
    local settings
    settings=$(echo "$RUSTFLAGS"; cat ${CMAKE_PROJECT_INCLUDE_BEFORE:+"$CMAKE_PROJECT_INCLUDE_BEFORE"} targets/cmake/size.cmake)
    if [[ -d $dir && $settings != "$(cat "$dir/settings" 2>/dev/null)" ]]; then
        rm -rf "$dir/$triple/dist/build"/llama-cpp-sys-2-*
    fi
    mkdir -p "$dir"
    echo "$settings" >"$dir/settings"
}

build_with_compiler() {
    if ! command -v "$prefix-g++" >/dev/null; then
        install_packages cross "g++-${prefix/_/-}" || exit $unavailable
    fi
    command -v ccache >/dev/null || [[ $EUID -ne 0 ]] || install_packages cross ccache || true
    ./scripts/setup.sh || exit $unavailable
    rust_std cross "$triple" || exit $unavailable
    "${cargo[@]}" build "${build_args[@]}" "${std_args[@]}"
}

build_args=(--profile dist --locked --no-default-features --features "kernels openmp program pull html static" --bin siskin --target "$triple" --target-dir "$dir")
set_environment
forget_other_settings
with=${SISKIN_CROSS_WITH:-} engine=
[[ $with == compiler ]] || engine=$(engine)
if [[ -n $engine ]]; then
    echo "cross: $profile, with cross in $engine" >&2
    SISKIN_ROOT=$PWD CROSS_CONFIG=cross.toml CROSS_CONTAINER_ENGINE=$engine cross build "${build_args[@]}"
elif [[ $with == cross ]]; then
    echo "cross: SISKIN_CROSS_WITH=cross, but cross is not installed or neither Docker nor Podman runs" >&2
    exit $unavailable
else
    echo "cross: $profile, with $prefix-gcc" >&2
    build_with_compiler
fi
if ! command -v "$prefix-strip" >/dev/null; then
    install_packages cross "binutils-${prefix/_/-}" || exit $unavailable
fi
"$prefix-strip" -o "$dir/siskin" "$dir/$triple/dist/siskin"
echo "cross: $dir/siskin, $(stat -c %s "$dir/siskin") bytes" >&2
