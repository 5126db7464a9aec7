#!/usr/bin/env bash
# Checks the program that scripts/cross.sh built: it contains the instructions that the profile requires and
# none that it excludes, links only glibc, needs no glibc newer than 2.36 (Debian 12, Raspberry Pi OS), and
# contains neither symbols nor paths of this machine. Prints the size and the goal of 17 MB.
#
#   scripts/check-binary.sh PROFILE...
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/profile.sh
source scripts/profile.sh
newest_glibc=2.36
aim_bytes=17000000
failed=0
# Rust's mangled names, in both schemes; LLVM may add a suffix. The library of TLS has its AES and SHA in assembler, under names
# of its own, and asks the system for the CPU's features before it calls them.
guarded_name='((17h[0-9a-f]+E|^_R.*)(\\.llvm\\.[0-9]+)?|^ring_core_[0-9_]+__(aes|sha256|sha512|ghash|gcm)_.*)$'

wrong() {
    echo "  wrong: $*"
    failed=1
}

# Counts instructions by name in the program with symbols: "COUNT NAME FUNCTION" for each function that has
# any.
count_instructions() {
    "$prefix-objdump" -d --no-show-raw-insn "$1" | awk '
        /^[0-9a-f]+ <.*>:$/ { function_name = substr($2, 2, length($2) - 3); next }
        NF > 1 { count[$2 " " function_name]++ }
        END { for (key in count) print count[key], key }'
}

# Counts the instructions that the profile names. Guarded functions may contain excluded ones: Rust is
# compiled without them, so it uses them only in functions that are chosen at run time, after a check of the CPU.
check_instructions() {
    local name total guarded
    for name in $(profile_field "$profile" build instructions); do
        total=$(awk -v name="$name" '$2 == name { sum += $1 } END { print sum + 0 }' "$counts")
        echo "  $name: $total"
        [[ $total -gt 0 ]] || wrong "no $name: the kernels for this profile are missing"
    done
    for name in $(profile_field "$profile" build no_instructions); do
        guarded=$(awk -v name="$name" -v guarded="$guarded_name" '$2 == name && $3 ~ guarded { sum += $1 } END { print sum + 0 }' "$counts")
        total=$(awk -v name="$name" -v guarded="$guarded_name" '$2 == name && $3 !~ guarded { sum += $1 } END { print sum + 0 }' "$counts")
        echo "  $name: $total, and $guarded in functions chosen at run time"
        [[ $total -eq 0 ]] ||
            wrong "$name in $(awk -v name="$name" -v guarded="$guarded_name" '$2 == name && $3 !~ guarded { print $3 }' "$counts" |
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
        ! grep -qaF "$path/" "$binary" || wrong "contains the path $path"
    done
    bytes=$(stat -c %s "$binary")
    echo "  size: $bytes bytes (goal: $aim_bytes)"
    [[ $bytes -le $aim_bytes ]] || echo "  above the goal by $((bytes - aim_bytes)) bytes"
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
        echo "check-binary: $binary does not exist; run make cross TARGET=$profile" >&2
        exit 1
    fi
    echo "$profile: $binary"
    count_instructions "$whole" >"$counts"
    check_instructions
    check_libraries
    check_contents
done
exit "$failed"
