#!/usr/bin/env bash
# Measures the four models at full size in Q4_K_M and Q8_0 and writes BENCHMARKS.md.
#
#   SISKIN_FULL   folder of the models, about 16 GB, kept for the next run [~/.cache/siskin/full]
#   SISKIN_PEER   a llama-bench program to take turns with [none: no ratios to llama.cpp]
#   MODELS        models to measure [tinyllama llama32 stablelm2 pythia]
#   TYPES         types to measure [q4_k_m q8_0]
#   ARGS          flags for siskin bench [-p 512 -n 64 -c 2048 -r 5]
#   OUT           the document [BENCHMARKS.md]
#   NOTE          a sentence for the document about the machine
#   REPORTS       files that siskin report wrote on other machines, for the document [none]
#   KERNELS       output of scripts/bench-kernels.sh for the document [target/bench-kernels.md, if it exists]
#
# ../shared/tools/full_size.py makes missing checkpoints (Python with torch and transformers). Their weights
# are random, which changes neither speed nor memory nor size.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

full=${SISKIN_FULL:-${XDG_CACHE_HOME:-$HOME/.cache}/siskin/full}
shared=${SISKIN_SHARED:-../shared}
read -ra models <<<"${MODELS:-tinyllama llama32 stablelm2 pythia}"
read -ra types <<<"${TYPES:-q4_k_m q8_0}"
reports=()
for report in ${REPORTS:-}; do
    reports+=("$(realpath "$report")")
done
read -ra flags <<<"${ARGS:--p 512 -n 64 -c 2048 -r 5}"
out=$(realpath -m "${OUT:-BENCHMARKS.md}")
kernels=$(realpath -m "${KERNELS:-target/bench-kernels.md}")
picture=benches/roofline.svg
siskin=$root/target/release/siskin

[[ -x $siskin ]] || { echo "bench-full: $siskin does not exist; run make build first" >&2; exit 1; }
mkdir -p "$full"
files=()
for model in "${models[@]}"; do
    for type in "${types[@]}"; do
        file=$model-$type.gguf
        files+=("$file")
        [[ -s $full/$file ]] && continue
        if [[ ! -d $full/$model ]]; then
            [[ -f $shared/tools/full_size.py ]] || {
                echo "bench-full: no checkpoint $full/$model, and no full_size.py in $shared/tools to make it" >&2
                exit 1
            }
            python3 "$shared/tools/full_size.py" "$full" "$model"
        fi
        "$siskin" convert "$full/$model" -o "$full/$file" --type "$type" --quiet
    done
done

# Names without folders, so that others can type the command in the document.
cd "$full"
if [[ -n ${SISKIN_PEER:-} ]]; then
    ln -sfn "$(realpath "$SISKIN_PEER")" llama-bench
    flags+=(--peer ./llama-bench)
else
    echo "bench-full: SISKIN_PEER is not set: no ratios to llama.cpp" >&2
fi
"$siskin" bench "${files[@]}" "${flags[@]}" -o json >results.json.part
mv results.json.part results.json
"$siskin" bench --import results.json -o html >results.html
python3 - "$root/$picture" <<'PY'
import re, sys
text = open("results.html").read()
open(sys.argv[1], "w").write(re.search(r"<h2>Roofline of decoding</h2>\s*(<svg.*?</svg>)", text, re.S)[1] + "\n")
PY
{
    sed 's/^    //' <<'END'
    # Benchmarks

    `make bench-full` ([scripts/bench-full.sh](scripts/bench-full.sh)) writes this file up to "The four models" and keeps
    the sections after it. Each table has its command, machine and date next to it. The models are of full size with random
    weights, converted by `siskin convert`; weights change neither speed nor memory. Programs and models take turns in one
    run, so their ratios hold for the machine as it was then.

    ## Speed and memory
    llama-bench takes a context as long as its test; siskin had 2048 tokens. With a large KV cache that changes the ratios
    of RSS, not those of speed.

    Nothing has been measured on a Raspberry Pi 5 yet. To measure there, copy the four models and run the command below.
    Others published that decoding reads 9.8 to 10.5 GB/s there (ggml-org/llama.cpp#26484, Q2_K to Q8_0).

END
    echo "The model files were on $(findmnt -no FSTYPE -T .).${NOTE:+ $NOTE}"
    echo
    "$siskin" bench --import results.json -o md
    printf '\n## Roofline of decoding\n![decode speed over the bytes a token reads](%s)\n\nFrom left to right, the marks are in the order of bytes read per token; the curve is the speed that the memory allows.\n' "$picture"
    if [[ -s $kernels ]]; then
        printf '\n## Kernels\n'
        cat "$kernels"
    fi
    for report in "${reports[@]}"; do
        printf '\n## Report of another machine\n'
        "$siskin" bench --import "$report" -o md
    done
    printf '\n## The four models\nCommand: `siskin models --results results.json -o md`\n\n'
    "$siskin" models --results results.json -o md
    # What was written by hand stays.
    if [[ -f $out ]]; then
        printf '\n'
        sed -n '/^<!-- By hand from here on/,$p' "$out"
    fi
} >"$out.part"
mv "$out.part" "$out"
echo "bench-full: wrote $out; pictures are in $full/results.html"
