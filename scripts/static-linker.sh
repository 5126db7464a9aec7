#!/usr/bin/env bash
# Links programs for other machines. The compiler's support library is linked into the program, so that it
# needs only glibc. Rust names the shared library (-lgcc_s); its static form is two libraries. SISKIN_LINKER
# names the compiler that links.
set -euo pipefail
arguments=()
for argument in "$@"; do
    case $argument in
    -lgcc_s) arguments+=(-lgcc_eh -lgcc) ;;
    *) arguments+=("$argument") ;;
    esac
done
exec "${SISKIN_LINKER:?names the compiler that links}" "${arguments[@]}"
