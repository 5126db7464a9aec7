#!/usr/bin/env bash
# Counts the instructions of the block kernels under callgrind: the same on a busy machine as on a quiet one.
#
#   scripts/callgrind.sh [TYPE ...]      # q4_K q5_K q6_K q8_0 q4_0 where no type is given
#
# Valgrind knows no AVX-512, so the AVX2 kernel is counted, in a build for plain x86-64 that holds no AVX-512
# outside the kernels. What is counted is the difference between going over the weights once and four times: the
# kernel alone.
# benches/README.md records the counts; set against it, a slower kernel shows.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null; then
    echo "skipped: valgrind is not installed (apt-get install valgrind)"
    exit 0
fi
if [[ $(uname -m) != x86_64 ]]; then
    echo "skipped: the recorded counts are those of x86-64"
    exit 0
fi

target=target/callgrind
RUSTFLAGS="-C target-cpu=x86-64" cargo build --release --locked --quiet \
    -p siskin-quant --example kernel --target-dir "$target"

weights=32768

# Instructions of a run that goes over the weights so many times, at an effort.
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$target/release/examples/kernel" "$1" avx2 "$weights" "$2" "$3" 2>&1 | sed -n 's/.*Collected : //p'
}

# Instructions that three more times take.
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
