#!/usr/bin/env bash
# Links programs that go to other machines: the compiler's support library goes into the program too, so that
# glibc is all it asks for. Rust's standard library names the shared one (-lgcc_s); its static form is libgcc_eh.
# SISKIN_LINKER names the compiler that links.
exec "${SISKIN_LINKER:?names the compiler that links}" "${@/#-lgcc_s/-lgcc_eh}" -static-libgcc
