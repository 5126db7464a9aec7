#!/usr/bin/env bash
# Counts the instructions of the block kernels with callgrind. A busy machine gives the same counts as an idle
# one.
#
#   scripts/callgrind.sh [TYPE ...]      # default: q4_K q5_K q6_K q8_0 q4_0
#
# Valgrind does not support AVX-512, so the script counts the AVX2 kernel, in a build for plain x86-64, which
# has no AVX-512 outside the kernels. It counts the difference between quantizing the weights four times and
# once, which is the kernel alone. benches/README.md records the counts: compare them to find a kernel that
# became slower.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null; then
    echo "skipped: valgrind is not installed (apt-get install valgrind)"
    exit 0
fi
if [[ $(uname -m) != x86_64 ]]; then
    echo "skipped: the recorded counts are for x86-64"
    exit 0
fi

target=target/callgrind
RUSTFLAGS="-C target-cpu=x86-64" cargo build --release --locked --quiet \
    -p siskin-quant --example kernel --target-dir "$target"

weights=32768

# count TYPE TIMES EFFORT: instructions of a run that quantizes the weights TIMES times.
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$target/release/examples/kernel" "$1" avx2 "$weights" "$2" "$3" 2>&1 | sed -n 's/.*Collected : //p'
}

# three TYPE EFFORT: instructions that quantizing the weights three times takes.
three() {
    echo $(($(count "$1" 4 "$2") - $(count "$1" 1 "$2")))
}

echo "| type | instructions a weight | at effort high | ratio |"
echo "| --- | ---: | ---: | ---: |"
for type in "${@:-q4_K q5_K q6_K q8_0 q4_0}"; do
    for one in $type; do
        awk -v t="$one" -v n="$(three "$one" normal)" -v h="$(three "$one" high)" -v w=$((3 * weights)) \
            'BEGIN { printf "| %s | %.2f | %.2f | %.1f |\n", t, n / w, h / w, h / n }'
    done
done
