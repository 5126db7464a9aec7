#!/usr/bin/env bash
# Counts the instructions that products take on a Cortex-A76, for 256 weights of one row and one column: siskin's
# kernels with 1, 2, 4 and 8 columns, and ggml's: on repacked weights if it repacks the format for this CPU (one column
# at a time, or four), else its product of a row and a column as stored. qemu executes and counts them. The products
# are of 64 rows of 2048 weights. The counts do not measure time.
#
#   make cross TARGET=raspberry-pi-5 && scripts/count-neon.sh [FORMAT...]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/rust-std.sh
source scripts/rust-std.sh

triple=aarch64-unknown-linux-gnu
library=$(find target/cross/raspberry-pi-5 -name libggml-cpu.a -path '*/out/lib/*' 2>/dev/null | head -n 1)
[[ -n $library ]] || { echo "count-neon: there is no libggml-cpu.a in target/cross; run make cross TARGET=raspberry-pi-5" >&2; exit 1; }
rust_std count-neon "$triple"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
RUSTFLAGS="" "${cargo[@]}" build --release --locked "${std_args[@]}" --target "$triple" --target-dir target/aarch64 \
    -p siskin-kernels --example count
ours=target/aarch64/$triple/release/examples/count
theirs=$work/count-ggml
aarch64-linux-gnu-gcc -O1 -static scripts/count-ggml.c -o "$theirs" \
    -Wl,--start-group "$library" "${library%/*}/libggml-base.a" -Wl,--end-group -lstdc++ -fopenmp -lm -lpthread 2>/dev/null

# One line in the log for each instruction.
single=-singlestep
! qemu-aarch64-static -help | grep -q one-insn-per-tb || single=-one-insn-per-tb

# executed BASE SYMBOLS DIVISOR PROGRAM ARGUMENTS...: instructions in the functions whose names match, divided.
executed() {
    local base=$1 symbols=$2 divisor=$3 filter
    shift 3
    filter=$(aarch64-linux-gnu-nm -SC "$1" | awk -v symbols="$symbols" '$4 ~ symbols { print $1, $2 }' |
        while read -r address size; do printf '0x%x+0x%s,' $((base + 16#$address)) "$size"; done)
    qemu-aarch64-static -cpu cortex-a76 -L /usr/aarch64-linux-gnu "$single" -d exec,nochain -D "$work/log" \
        -dfilter "${filter%,}" "$@" >/dev/null 2>&1 || return 0
    awk -v count="$(wc -l <"$work/log")" -v divisor="$divisor" 'BEGIN { printf "%.1f", count / divisor }'
}

# The address at which qemu loads a position-independent program.
base=$((0x5500000000))
blocks=$((64 * 8))
echo "| format | siskin, 1 column | 2 | 4 | 8 | ggml, 1 | 4 | its kernel |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
[[ $# -gt 0 ]] || set -- Q4_K Q5_K Q6_K Q8_0 Q4_0 IQ4_NL Q4_1 Q5_0 Q5_1 Q2_K Q3_K IQ4_XS F16
for format; do
    row="| $format |"
    for columns in 1 2 4 8; do
        row+=" $(executed "$base" 'neon::kernel::run' $((blocks * columns)) "$ours" "$format" 64 8 "$columns") |"
    done
    name=${format,,}
    name=${name/_k/_K}
    one=$(executed 0 "^ggml_gemv_${name}_" "$blocks" "$theirs" "$name" one)
    if [[ -n $one ]]; then
        row+=" $one | $(executed 0 "^ggml_gemm_${name}_" $((blocks * 4)) "$theirs" "$name" four) | repacked |"
    else
        row+=" $(executed 0 "^ggml_vec_dot_${name}(_q8_.)?\$" "$blocks" "$theirs" "$name" stored) | | stored |"
    fi
    echo "$row"
done
