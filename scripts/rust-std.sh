# shellcheck shell=bash
# Sourced: gets Rust's standard library for a target from rustup or, if rustup does not have it, compiles its
# source.

# rust_std WHO TRIPLE: sets `cargo`, the command to build with, and `std_args`, its additional arguments. If
# there is no way to get the library, it prints one line and returns 1. SISKIN_BUILD_STD=1 always compiles it.
# shellcheck disable=SC2034 # read by the caller
rust_std() {
    cargo=(cargo) std_args=()
    if [[ -z ${SISKIN_BUILD_STD:-} ]]; then
        [[ -d $(rustc --print sysroot)/lib/rustlib/$2/lib ]] && return
        timeout 300 rustup target add "$2" >/dev/null 2>&1 && return
    fi
    if ! rustc +nightly -V >/dev/null 2>&1; then
        echo "$1: no Rust standard library for $2: rustup target add $2 fails, and there is no nightly to compile it with" >&2
        return 1
    fi
    local sources
    sources=$(rustc +nightly --print sysroot)/lib/rustlib/src/rust
    if [[ ! -e $sources/library/Cargo.lock ]] &&
        ! timeout 300 rustup component add rust-src --toolchain nightly >/dev/null 2>&1 &&
        ! debian_rust_src "$sources"; then
        echo "$1: no Rust standard library for $2: neither rustup nor Debian has its source for $(rustc +nightly -V)" >&2
        return 1
    fi
    cargo=(cargo +nightly) std_args=(-Z "build-std=std,panic_abort")
}

# debian_rust_src FOLDER: unpacks the library's source from Debian's package rust-src, in the version of the
# installed nightly. It searches newer suites with separate package lists, and does not change the system's
# own.
debian_rust_src() {
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
    local want work mirror suite version
    want=$(rustc +nightly -V | sed -E 's/^rustc ([0-9]+\.[0-9]+)\..*/\1/')
    mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
    work=$(mktemp -d)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    local apt=(-q -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=- -o APT::Sandbox::User=root
        -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache")
    for suite in trixie forky sid; do
        echo "deb ${mirror:-http://deb.debian.org/debian} $suite main" >"$work/sources.list"
        apt-get "${apt[@]}" update >/dev/null 2>&1 || continue
        version=$(apt-cache "${apt[@]}" madison rust-src | awk -v want="$want." 'index($3, want) == 1 { print $3; exit }')
        [[ -n $version ]] && break
    done
    local found=1
    if [[ -n ${version:-} ]] && (cd "$work" && apt-get "${apt[@]}" download "rust-src=$version" >/dev/null 2>&1) &&
        dpkg -x "$work"/rust-src_*.deb "$work/tree"; then
        rm -rf "$1"
        mkdir -p "$1"
        cp -r "$work"/tree/usr/src/rustc-*/library "$1/" && found=0
    fi
    rm -rf "$work"
    return "$found"
}
