#!/usr/bin/env bash
# Makes the release files in dist/: an archive for each profile (program, licences, man pages, shell
# completions, checksums), Debian packages, and SHA256SUMS of all of them. The same sources and compilers give
# the same bytes: files are sorted and have the time of the last commit (or SOURCE_DATE_EPOCH).
#
#   scripts/dist.sh [PROFILE...]     default: every profile that this machine can build
#
# `make dist` builds this machine's siskin first, which writes the man pages and completions.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/apt.sh
source scripts/apt.sh
# shellcheck source=scripts/profile.sh
source scripts/profile.sh
# shellcheck source=scripts/notices.sh
source scripts/notices.sh
# The Debian packages: "" is the default one of its architecture, the others replace it.
declare -A packages=([aarch64-generic]="" [x86-64-v2]="" [raspberry-pi-5]=raspberry-pi-5 [x86-64-v3]=x86-64-v3)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
host=${SISKIN_HOST:-target/release/siskin}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

fail() {
    echo "dist: $*" >&2
    exit 1
}

# Copies what is the same in every archive: documents, man pages, completions.
lay_out_common() {
    rm -rf "$1"
    mkdir -p "$1/man" "$1/completions"
    cp README.md CHANGELOG.md LICENSE LICENSE-MIT LICENSE-APACHE "$1/"
    "$host" man "$1/man" || fail "$host cannot write the man pages"
    "$host" completions bash >"$1/completions/siskin.bash" || fail "$host cannot write the completions"
    "$host" completions zsh >"$1/completions/_siskin"
    "$host" completions fish >"$1/completions/siskin.fish"
}

# Writes SHA256SUMS of everything in a folder.
checksums() {
    local sums
    sums=$(cd "$1" && find . -type f ! -name SHA256SUMS -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum)
    echo "$sums" >"$1/SHA256SUMS"
}

# archive PROFILE: makes dist/siskin-VERSION-PROFILE.tar.gz from target/package.
archive() {
    local name=siskin-$version-$1
    checksums target/package
    tar --create --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
        --directory=target/package --transform="s,^\.,$name," . | gzip -9n >"dist/$name.tar.gz"
}

# debian PROFILE VARIANT: makes dist/siskin[-VARIANT]_VERSION-1_ARCH.deb from target/package.
debian() {
    local arguments=(--no-build --no-strip --quiet --target "$(profile_field "$1" build triple)" --output dist/)
    [[ -z $2 ]] || arguments+=(--variant "$2")
    cargo deb "${arguments[@]}"
}

need_cargo_deb() {
    cargo deb --version >/dev/null 2>&1 && return
    echo "dist: installing cargo-deb" >&2
    cargo install --quiet --locked cargo-deb || fail "cargo-deb cannot be installed (cargo install cargo-deb)"
}

for profile in "$@"; do
    profile_check dist "$profile" || exit 2
done
[[ -x $host ]] || fail "$host does not exist; run make build"
everything=$#
# shellcheck disable=SC2046 # profile names have no spaces
[[ $# -gt 0 ]] || set -- $(profile_names)
mkdir -p dist
for profile in "$@"; do
    code=0
    scripts/cross.sh "$profile" || code=$?
    # A profile that cannot be built is an error if it was named, and skipped with a notice if all were asked
    # for.
    if [[ $code -eq 69 && $everything -eq 0 ]]; then
        echo "skipped: $profile: what the line above names is not available here"
        continue
    fi
    [[ $code -eq 0 ]] || exit "$code"
    scripts/check-binary.sh "$profile"
    lay_out_common target/package
    cp "target/cross/$profile/siskin" target/package/siskin
    notices "$(profile_field "$profile" build triple)" >target/package/THIRD-PARTY-LICENSES
    archive "$profile"
    if [[ -v packages[$profile] ]]; then
        need_cargo_deb
        debian "$profile" "${packages[$profile]}"
    fi
done
checksums dist
cat dist/SHA256SUMS
