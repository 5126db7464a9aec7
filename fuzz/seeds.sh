#!/usr/bin/env bash
# Seeds of the fuzz targets from the test fixtures: small good inputs to begin with.
set -euo pipefail
cd "$(dirname "$0")/.."
siskin=${1:-target/release/siskin}
checkpoints=tests/data/checkpoints
mkdir -p fuzz/corpus/{gguf,safetensors,template,text,tokenizer}
for fixture in llama-tied stablelm-qknorm gptneox-sequential; do
    out=fuzz/corpus/gguf/$fixture.gguf
    "$siskin" convert "$checkpoints/$fixture" -o "$out" --type q4_0 --force --quiet
done
cp model/tests/data/gguf_py.gguf fuzz/corpus/gguf/
for dir in "$checkpoints"/*/; do
    name=$(basename "$dir")
    if [[ -f $dir/model.safetensors ]]; then
        # Two bytes choose the file's length; the first eight of the file are the header's length.
        length=$(od -An -t u8 -N 8 "$dir/model.safetensors" | tr -d ' ')
        { printf '\xff\xff'; head -c $((8 + length)) "$dir/model.safetensors" | tail -c +9; } \
            > "fuzz/corpus/safetensors/$name"
    fi
    if [[ -f $dir/tokenizer.json ]]; then
        cp "$dir/tokenizer.json" "fuzz/corpus/tokenizer/$name.json"
    fi
done
python3 - <<'EOF'
import json
for at, (source, _) in enumerate(json.load(open("jinja/tests/data/jinja2.json"))["cases"]):
    open(f"fuzz/corpus/template/{at}", "w", newline="").write(source)
EOF
# The first byte chooses the vocabulary: 0 to 3 are those of fixtures, 4 to 7 are listed in the input.
text=$' Once upon\ta time, there\'re 12345 <s>  </s>\r\n\n 中 e\xcc\x81 👩'
sentencepiece=$'1a\n1b\n1ab\n3<s>\n4<u>\n1▁\n1▁ab\n\nab <s><u> ab\n'
bytes=$'1ab\n1Ġab\n3<s>\n4<u>\nma b\nmĠ ab\n\n ab\'s <s><u> ab12345\n'
seed() { printf '%b%s' "\\x0$1" "$2" > "fuzz/corpus/text/$1"; }
for choice in 0 1 2 3; do seed $choice "$text"; done
seed 4 "$sentencepiece"
for choice in 5 6 7; do seed $choice "$bytes"; done
