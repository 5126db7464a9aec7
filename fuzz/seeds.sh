#!/usr/bin/env bash
# Seeds of the fuzz targets from the test fixtures: small good inputs to begin with.
set -euo pipefail
cd "$(dirname "$0")/.."
siskin=${1:-target/release/siskin}
checkpoints=tests/data/checkpoints
mkdir -p fuzz/corpus/{gguf,safetensors,tokenizer}
for fixture in llama-tied stablelm-qknorm gptneox-sequential; do
    out=fuzz/corpus/gguf/$fixture.gguf
    "$siskin" convert "$checkpoints/$fixture" -o "$out" --type q4_0 --force --quiet
done
cp quant/tests/data/gguf_py.gguf fuzz/corpus/gguf/
for dir in "$checkpoints"/*/; do
    name=$(basename "$dir")
    if [[ -f $dir/model.safetensors ]]; then
        # Two bytes choose the file's length; the header's own length stands in its first eight.
        length=$(od -An -t u8 -N 8 "$dir/model.safetensors" | tr -d ' ')
        { printf '\xff\xff'; head -c $((8 + length)) "$dir/model.safetensors" | tail -c +9; } \
            > "fuzz/corpus/safetensors/$name"
    fi
    if [[ -f $dir/tokenizer.json ]]; then
        cp "$dir/tokenizer.json" "fuzz/corpus/tokenizer/$name.json"
    fi
done
