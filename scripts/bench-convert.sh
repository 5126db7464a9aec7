#!/usr/bin/env bash
# Compares siskin's conversion and quantization with llama.cpp's on full-size checkpoints. They take turns in
# every round, so that other load on the machine affects both. Prints a Markdown table of medians.
#
#   scripts/bench-convert.sh [-n ROUNDS] [-t THREADS] [-o FOLDER] CHECKPOINTS PEER [MODEL...]
#
# CHECKPOINTS contains one folder per model, as ../shared/tools/full_size.py writes them. PEER contains
# llama.cpp's source and build: convert_hf_to_gguf.py, gguf-py/, build/bin/llama-quantize. PYTHON (default:
# python3) must have torch and transformers. GPT-NeoX needs transformers 4: set PYTHON_NEOX if another Python
# has it. FOLDER (default: CHECKPOINTS) gets the written files, at most 6 GB, and must be on a disk. SISKIN is
# the program (default: target/release/siskin). A step that fails is reported and left out of the table.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)

usage() {
    sed -n '5p' "$0" | cut -c3- >&2
    exit 2
}

rounds=3 threads=$(nproc) out=
while getopts n:t:o: option; do
    case $option in
        n) rounds=$OPTARG ;;
        t) threads=$OPTARG ;;
        o) out=$OPTARG ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
[[ $# -ge 2 ]] || usage
checkpoints=$1 peer=$2
shift 2
out=${out:-$checkpoints}/bench-convert.$$
siskin=${SISKIN:-$here/target/release/siskin}
python=${PYTHON:-python3}

for need in "$siskin" "$peer/build/bin/llama-quantize" "$peer/convert_hf_to_gguf.py" /usr/bin/time; do
    [[ -e $need ]] || { echo "bench-convert: $need is missing" >&2; exit 1; }
done
if [[ $# -gt 0 ]]; then models=("$@"); else
    mapfile -t models < <(find "$checkpoints" -mindepth 2 -maxdepth 2 -name config.json -printf '%h\n' | xargs -n 1 basename | sort)
fi
mkdir -p "$out"
trap 'rm -rf "$out"' EXIT
results=$out/results.tsv

# measure MODEL STEP COMMAND...: appends a line with wall seconds, CPU seconds and peak RSS in kB.
measure() {
    local model=$1 step=$2
    shift 2
    sync
    if /usr/bin/time -q -o "$out/time" -f "%e %U %S %M" "$@" >"$out/log" 2>&1; then
        read -r wall user sys peak <"$out/time"
        printf '%s\t%s\t%s\t%s\t%s\n' "$model" "$step" "$wall" "$(echo "$user $sys" | awk '{ print $1 + $2 }')" "$peak" |
            tee -a "$results" >&2
    else
        echo "bench-convert: $model, $step failed: $(tail -n 1 "$out/log")" >&2
        return 1
    fi
}

for model in "${models[@]}"; do
    dir=$checkpoints/$model f16=$out/f16.gguf to=$out/out.gguf
    with=$python
    grep -q GPTNeoX "$dir/config.json" && with=${PYTHON_NEOX:-$python}
    cat "$dir"/*.safetensors >/dev/null # so that both find the checkpoint in the page cache
    for ((round = 0; round < rounds; round++)); do
        measure "$model" peer-f16 env PYTHONPATH="$peer/gguf-py" "$with" "$peer/convert_hf_to_gguf.py" "$dir" \
            --outfile "$f16" --outtype f16 || measure "$model" f16 "$siskin" convert "$dir" -o "$f16" --type f16 --quiet --force
        for type in q4_k_m q8_0; do
            measure "$model" "peer-$type" "$peer/build/bin/llama-quantize" "$f16" "$to" "$type" "$threads" || true
            rm -f "$to"
            measure "$model" "convert-$type" "$siskin" convert "$dir" -o "$to" --type "$type" -t "$threads" --quiet --force || true
            rm -f "$to"
            measure "$model" "quantize-$type" "$siskin" quantize "$f16" "$to" "$type" -t "$threads" --quiet --force || true
            rm -f "$to"
        done
        rm -f "$f16"
    done
done

echo "$rounds rounds, $threads threads, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(date -I)"
echo
awk -F '\t' '
    function median(key,    n, i, j, t) {
        n = split(values[key], v, " ")
        for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
    }
    function has(model, step) { return (model SUBSEP step SUBSEP 3) in values }
    function get(model, step, field) { return median(model SUBSEP step SUBSEP field) }
    function row(model, what, wall, cpu, peak, step,    ours) {
        ours = get(model, step, 3)
        printf "| %s | %s | %.1f s, %.0f s CPU, %.0f MB | %.1f s, %.1f s CPU, %.0f MB | %.1f |\n", model, what,
            wall, cpu, peak / 1024, ours, get(model, step, 4), get(model, step, 5) / 1024, wall / ours
    }
    {
        for (field = 3; field <= 5; field++) values[$1, $2, field] = values[$1, $2, field] " " $field
        if (!($1 in seen)) { seen[$1]; order[++count] = $1 }
    }
    END {
        print "| model | step | llama.cpp | siskin | times faster |"
        print "| --- | --- | --- | --- | ---: |"
        for (i = 1; i <= count; i++) {
            m = order[i]
            split("q4_k_m q8_0", types, " ")
            for (k = 1; k <= 2; k++) {
                t = types[k]
                if (has(m, "peer-f16") && has(m, "peer-" t) && has(m, "convert-" t)) {
                    a = get(m, "peer-f16", 5); b = get(m, "peer-" t, 5)
                    row(m, "checkpoint to " t, get(m, "peer-f16", 3) + get(m, "peer-" t, 3),
                        get(m, "peer-f16", 4) + get(m, "peer-" t, 4), a > b ? a : b, "convert-" t)
                }
                if (has(m, "peer-" t) && has(m, "quantize-" t))
                    row(m, "f16 to " t, get(m, "peer-" t, 3), get(m, "peer-" t, 4), get(m, "peer-" t, 5), "quantize-" t)
            }
        }
    }' "$results"
