#!/usr/bin/env bash
# Links programs that go to other machines: the compiler's support library goes into the program too, so that
# glibc is all it asks for. Rust names the shared one (-lgcc_s); its static form is two libraries.
# SISKIN_LINKER names the compiler that links.
set -euo pipefail
arguments=()
for argument in "$@"; do
    case $argument in
    -lgcc_s) arguments+=(-lgcc_eh -lgcc) ;;
    *) arguments+=("$argument") ;;
    esac
done
exec "${SISKIN_LINKER:?names the compiler that links}" "${arguments[@]}"
