#!/usr/bin/env bash
# Counts the instructions that q4_K by q8_K takes for one token of the embedded model on a Cortex-A76:
# siskin's kernel on weights as stored, and ggml's on repacked ones. qemu executes and counts them, on one
# thread, as the difference between runs of three and two tokens. The counts do not measure time.
#
#   make cross TARGET=raspberry-pi-5 && scripts/count-neon.sh
set -euo pipefail
cd "$(dirname "$0")/.."
program=target/cross/raspberry-pi-5/aarch64-unknown-linux-gnu/dist/siskin
[[ -e $program ]] || { echo "count-neon: $program does not exist; run make cross TARGET=raspberry-pi-5" >&2; exit 1; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The address at which qemu loads a position-independent program.
base=$((0x5500000000))

# executed FUNCTION TOKENS FLAGS...: instructions of the function in a run of TOKENS tokens.
executed() {
    local function=$1 tokens=$2 address size
    shift 2
    read -r address size < <(aarch64-linux-gnu-nm -S "$program" | awk -v name="$function" '$4 ~ name { print $1, $2; exit }')
    qemu-aarch64-static -cpu cortex-a76 -L /usr/aarch64-linux-gnu -singlestep -d exec,nochain -D "$log" \
        -dfilter "$(printf '0x%x' $((base + 16#$address)))+0x$size" \
        "$program" run -p a -n "$tokens" --temp 0 -t 1 "$@" >/dev/null 2>&1
    wc -l <"$log"
}

# a_token WHAT FUNCTION FLAGS...: prints a row of the table.
a_token() {
    local what=$1 function=$2
    shift 2
    echo "| $what | $(($(executed "$function" 3 "$@") - $(executed "$function" 2 "$@"))) |"
}

echo "| q4_K by q8_K | instructions a token |"
echo "| --- | ---: |"
a_token "siskin, weights as they are" neon4q4_k3run --kernels siskin
a_token "ggml, weights repacked" '^ggml_gemv_q4_K_8x4_q8_K$' --kernels ggml --repack --no-mmap
