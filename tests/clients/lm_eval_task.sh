#!/usr/bin/env bash
# lm-eval itself (pip install 'lm-eval[api]==0.4.13') on a small task of its own, without a download. BASE_URL, API_KEY, MODEL.
set -euo pipefail
base=${BASE_URL:-http://127.0.0.1:8080}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/birds.jsonl" <<'JSONL'
{"question": "The sky is", "choices": [" blue", " soup"], "answer": 0}
{"question": "Fish live in the", "choices": [" chair", " water"], "answer": 1}
{"question": "At night it is", "choices": [" dark", " banana"], "answer": 0}
{"question": "A dog has four", "choices": [" legs", " of"], "answer": 0}
{"question": "She went to bed because she was", "choices": [" the", " tired"], "answer": 1}
{"question": "Two and two are", "choices": [" four", " green"], "answer": 0}
JSONL
cat >"$folder/birds.yaml" <<YAML
task: birds
dataset_path: json
dataset_kwargs: {data_files: {test: $folder/birds.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
target_delimiter: ""
metric_list: [{metric: acc}]
YAML
export OPENAI_API_KEY=${API_KEY:-none} HF_HUB_OFFLINE=1 HF_DATASETS_CACHE=$folder/cache
model=${MODEL:-$(curl -sf -H "Authorization: Bearer $OPENAI_API_KEY" "$base/v1/models" | python3 -c 'import json, sys; print(json.load(sys.stdin)["data"][0]["id"])')}
lm_eval --model local-completions --tasks birds --include_path "$folder" --output_path "$folder/out" \
    --model_args "model=$model,base_url=$base/v1/completions,num_concurrent=2,max_retries=3,tokenizer_backend=remote,auth_token=$OPENAI_API_KEY"
python3 - "$folder/out" <<'PYTHON'
import glob, json, sys
result = json.load(open(glob.glob(sys.argv[1] + "/**/results*.json", recursive=True)[0]))["results"]["birds"]["acc,none"]
print(f"{'ok' if result > 0.5 else 'FAIL'} lm-eval reads the scores: {result:.2f} of six easy choices")
sys.exit(result <= 0.5)
PYTHON
