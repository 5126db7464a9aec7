#!/usr/bin/env bash
# Seeds of the fuzz targets from the test fixtures: small good inputs to begin with.
set -euo pipefail
cd "$(dirname "$0")/.."
siskin=${1:-target/release/siskin}
checkpoints=tests/data/checkpoints
mkdir -p fuzz/corpus/{gguf,grammar,pickle,request,safetensors,template,text,tokenizer}
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
# The first byte of a pickle's seed chooses: 0 is a whole file as torch writes it, 1 a pickle in an archive.
{ printf '\x00'; cat quant/tests/data/torch_like.bin; } > fuzz/corpus/pickle/file
python3 -c 'import sys, zipfile; sys.stdout.buffer.write(b"\x01" + zipfile.ZipFile(sys.argv[1]).read("archive/data.pkl"))' \
    quant/tests/data/torch_like.bin > fuzz/corpus/pickle/pickle
python3 - <<'EOF'
import glob, json, re
for at, (source, _) in enumerate(json.load(open("jinja/tests/data/jinja2.json"))["cases"]):
    open(f"fuzz/corpus/template/{at}", "w", newline="").write(source)

# The first byte chooses what a request's seed is: a letter for each kind, in their order.
for kind, (_, seeds) in enumerate(sorted(json.load(open("serve/tests/data/fuzz_seeds.json")).items())):
    for at, (_status, seed) in enumerate(seeds):
        text = seed if isinstance(seed, str) else json.dumps(seed)
        letter = chr(ord("a") + kind)
        open(f"fuzz/corpus/request/{letter}{at}", "w", newline="").write(letter + text)

# Words that the fuzzer would not guess: fields of requests, and what the seeds have between quotes.
words = set(re.findall(r'"([A-Za-z_][\w./:-]{1,40})"', open("serve/tests/data/fuzz_seeds.json").read()))
for path in glob.glob("serve/src/api/**/*.rs", recursive=True):
    words.update(re.findall(r"^    (?:pub\S* )?([a-z_]+): ", open(path).read(), re.MULTILINE))
open("fuzz/corpus/request.dict", "w").writelines(f'"\\"{word}\\""\n' for word in sorted(words))
EOF
# The first byte chooses the vocabulary: 0 to 3 are those of fixtures, 4 to 7 are listed in the input.
text=$' Once upon\ta time, there\'re 12345 <s>  </s>\r\n\n 中 e\xcc\x81 👩'
sentencepiece=$'1a\n1b\n1ab\n3<s>\n4<u>\n1▁\n1▁ab\n\nab <s><u> ab\n'
bytes=$'1ab\n1Ġab\n3<s>\n4<u>\nma b\nmĠ ab\n\n ab\'s <s><u> ab12345\n'
seed() { printf '%b%s' "\\x0$1" "$2" > "fuzz/corpus/text/$1"; }
for choice in 0 1 2 3; do seed $choice "$text"; done
seed 4 "$sentencepiece"
for choice in 5 6 7; do seed $choice "$bytes"; done
# The first byte of a grammar's seed chooses what it is: GBNF, a schema, a strict one, a tool's parameters, an answer.
{ printf '\x00'; cat grammar/tests/data/json.gbnf; } > fuzz/corpus/grammar/gbnf
schema='{"$ref":"#/$defs/a","$defs":{"a":{"type":"object","properties":{"n":{"type":"number","minimum":-1.5},
"s":{"type":"string","pattern":"^a+$","maxLength":9},"l":{"type":"array","items":{"enum":["x",1,null]},"maxItems":3},
"o":{"anyOf":[{"$ref":"#/$defs/a"},{"type":"null"}]}},"required":["n"],"additionalProperties":false}}}'
for choice in 1 2 3; do printf '%b%s' "\\x0$choice" "$schema" > "fuzz/corpus/grammar/schema$choice"; done
printf '\x04%s' 'a <tool_call>{"name": "f", "arguments": {"x": "}\""}}</tool_call>' > fuzz/corpus/grammar/tagged
printf '\x04%s' '{"name": "f", "parameters": {"x": [1]}}; {"name"' > fuzz/corpus/grammar/bare
