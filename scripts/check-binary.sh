#!/usr/bin/env bash
# Checks what scripts/cross.sh built: the instructions the profile asks for are there and those it excludes are not,
# nothing but glibc is linked, in no version newer than 2.36 (Debian 12, Raspberry Pi OS), no symbols, no paths of
# this machine. The size is printed against the aim of 12 MB.
#
#   scripts/check-binary.sh PROFILE...
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/profile.sh
source scripts/profile.sh
newest_glibc=2.36
aim_bytes=12000000
failed=0
# Rust's mangled names, both schemes; LLVM may add a suffix.
rust_name='(17h[0-9a-f]+E|^_R.*)(\\.llvm\\.[0-9]+)?$'

wrong() {
    echo "  wrong: $*"
    failed=1
}

# Instructions by name: "COUNT NAME FUNCTION" for each function that holds some, out of the program with symbols.
count_instructions() {
    "$prefix-objdump" -d --no-show-raw-insn "$1" | awk '
        /^[0-9a-f]+ <.*>:$/ { function_name = substr($2, 2, length($2) - 3); next }
        NF > 1 { count[$2 " " function_name]++ }
        END { for (key in count) print count[key], key }'
}

# The instructions a profile names, and how many are there. Those it excludes may stand in Rust functions: without a
# profile's leave Rust writes them only into functions that are called where the CPU has been asked.
check_instructions() {
    local name total guarded
    for name in $(profile_field "$profile" build instructions); do
        total=$(awk -v name="$name" '$2 == name { sum += $1 } END { print sum + 0 }' "$counts")
        echo "  $name: $total"
        [[ $total -gt 0 ]] || wrong "no $name: the kernels this profile is for are missing"
    done
    for name in $(profile_field "$profile" build no_instructions); do
        guarded=$(awk -v name="$name" -v rust="$rust_name" '$2 == name && $3 ~ rust { sum += $1 } END { print sum + 0 }' "$counts")
        total=$(awk -v name="$name" -v rust="$rust_name" '$2 == name && $3 !~ rust { sum += $1 } END { print sum + 0 }' "$counts")
        echo "  $name: $total, and $guarded in functions chosen at run time"
        [[ $total -eq 0 ]] ||
            wrong "$name in $(awk -v name="$name" -v rust="$rust_name" '$2 == name && $3 !~ rust { print $3 }' "$counts" |
                head -n 3 | paste -sd' ')"
    done
}

check_libraries() {
    local library newest
    for library in $(readelf -d "$binary" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p'); do
        case $library in
        libc.so.6 | libm.so.6 | ld-linux*.so.*) ;;
        *) wrong "needs $library" ;;
        esac
    done
    newest=$(readelf -V "$binary" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1)
    echo "  newest symbol version: $newest (allowed: GLIBC_$newest_glibc)"
    [[ $(printf '%s\n' "$newest" "GLIBC_$newest_glibc" | sort -V | tail -n 1) == "GLIBC_$newest_glibc" ]] ||
        wrong "needs $newest"
}

check_contents() {
    local bytes path
    [[ -z $("$prefix-nm" "$binary" 2>/dev/null) ]] || wrong "not stripped"
    for path in "$PWD" "${CARGO_HOME:-$HOME/.cargo}" "${RUSTUP_HOME:-$HOME/.rustup}"; do
        ! grep -qaF "$path/" "$binary" || wrong "holds the path $path"
    done
    bytes=$(stat -c %s "$binary")
    echo "  size: $bytes bytes (aim: $aim_bytes)"
    [[ $bytes -le $aim_bytes ]] || echo "  above the aim by $((bytes - aim_bytes)) bytes"
}

[[ $# -gt 0 ]] || { echo "usage: scripts/check-binary.sh PROFILE..." >&2 && exit 2; }
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
for profile in "$@"; do
    profile_check check-binary "$profile" || exit 2
    prefix=$(profile_field "$profile" build cross_prefix)
    binary=target/cross/$profile/siskin
    whole=target/cross/$profile/$(profile_field "$profile" build triple)/dist/siskin
    if [[ ! -e $binary || ! -e $whole ]]; then
        echo "check-binary: $binary is not there; run make cross TARGET=$profile" >&2
        exit 1
    fi
    echo "$profile: $binary"
    count_instructions "$whole" >"$counts"
    check_instructions
    check_libraries
    check_contents
done
exit "$failed"
