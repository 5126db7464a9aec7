#!/bin/sh
# Makes the golden of tests/through_binary/imatrix.rs with llama.cpp's own llama-imatrix:
#
#     tests/data/imatrix/make.sh path/to/llama-imatrix path/to/siskin
set -eu
program=$(realpath "$1")
siskin=$(realpath "$2")
cd "$(dirname "$0")" # so that the golden has the text's name without a folder
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
"$siskin" convert "../checkpoints/llama-spm" -o "$work/model.gguf" --type f32 --quiet
"$program" -m "$work/model.gguf" -f text.txt -o llama-spm.gguf -c 64 -b 64 --chunks 4 -t 1 --no-ppl
