#!/usr/bin/env bash
# Measures decode and prefill with ggml's kernels, siskin's kernels and llama.cpp's own program, in turns.
# Prints Markdown, which scripts/bench-full.sh adds to BENCHMARKS.md if it is in target/bench-kernels.md.
#
#   scripts/bench-kernels.sh MODEL.gguf...
#   PEER=/path/to/llama-bench ROUNDS=5 DEPTH=2048 scripts/bench-kernels.sh *.gguf
#
#   PEER     llama.cpp's llama-bench [none: left out]
#   ROUNDS   rounds; the results are their medians [5]
#   THREADS  threads [the available CPUs]
#   DECODE   tokens to decode in each run [64]
#   PROMPT   tokens of the prompt for prefill [256]
#   DEPTH    tokens before the decoded ones in a second pass; 0 for no second pass [2048]
#   SISKIN   the program [target/release/siskin]
set -euo pipefail
cd "$(dirname "$0")/.."
[[ $# -gt 0 ]] || { sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2; }
rounds=${ROUNDS:-5} threads=${THREADS:-$(nproc)} decode=${DECODE:-64} prompt=${PROMPT:-256} depth=${DEPTH:-2048}
siskin=${SISKIN:-target/release/siskin} peer=${PEER:-}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

cargo build --release --quiet -p siskin-kernels --example bandwidth
bandwidth=target/release/examples/bandwidth

# text TOKENS: words of about one token each.
text() { python3 -c 'import sys; print(" ".join(["the time of day"] * (int(sys.argv[1]) // 4)), end="")' "$1"; }
median() { sort -g "$1" | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2; else print "-" }'; }

# ours KERNELS MODEL PROMPT_TOKENS: appends prefill, decode and peak RSS to files named after the figure.
ours() {
  text "$3" >"$work/prompt"
  "$siskin" run "$2" --raw -f "$work/prompt" -n "$decode" --temp 0 -t "$threads" --kernels "$1" --json -c $(($3 * 2 + decode + 64)) 2>/dev/null </dev/null |
    python3 -c '
import json, sys
kind, depth, work = sys.argv[1:]
stats = json.load(sys.stdin)["stats"]
for what, key, unit in (("prefill", "prompt_tokens_per_second", 1), ("decode", "decode_tokens_per_second", 1), ("rss", "peak_rss_bytes", 2**20)):
    print(stats[key] / unit, file=open(f"{work}/{kind}-{what}-{depth}", "a"))' "$1" "$3" "$work"
}

theirs() {
  local tests=(-p "$2" -n "$decode")
  [[ $3 == 0 ]] || tests=(-p 0 -n "$decode" -d "$3")
  "$peer" -m "$1" -t "$threads" "${tests[@]}" -r 1 -o json 2>/dev/null |
    python3 -c '
import json, sys
depth, work = sys.argv[1:]
for test in json.load(sys.stdin):
    what = "prefill" if test["n_prompt"] and not test["n_gen"] else "decode"
    print(test["avg_ts"], file=open(f"{work}/peer-{what}-{depth}", "a"))' "$4" "$work"
}

echo "\`scripts/bench-kernels.sh $(basename -a "$@" | paste -sd' ')\`:"
echo "$(date -u +%F) $(uname -m) $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), $threads threads, medians of $rounds rounds in turns"
for model in "$@"; do
  rm -f "$work"/*
  # A token reads the file without the embedding, or with it if that is also the output.
  for ((round = 0; round < rounds; round++)); do
    "$bandwidth" "$threads" Q4_K | awk -F'|' '$3 ~ /plain read/ { print $4 }' >>"$work/plain"
    [[ -z $peer ]] || theirs "$model" "$prompt" 0 "$prompt"
    for kind in ggml siskin; do ours "$kind" "$model" "$prompt"; done
  done
  if ((depth > 0)); then
    for ((round = 0; round < (rounds + 1) / 2; round++)); do
      [[ -z $peer ]] || theirs "$model" 0 "$depth" "$depth"
      for kind in ggml siskin; do ours "$kind" "$model" "$depth"; done
    done
  fi
  size=$(stat -Lc %s "$model")
  printf '\n%s, %s MB; plain read %s GB/s\n\n' "$(basename "$model")" $((size / 1000000)) "$(median "$work/plain")"
  echo "| kernels | prefill of $prompt, t/s | decode, t/s | decode at $depth, t/s | peak RSS, MiB | decode x file, GB/s |"
  echo "| --- | --- | --- | --- | --- | --- |"
  for kind in peer ggml siskin; do
    touch "$work/$kind-"{prefill,decode,rss}-"$prompt" "$work/$kind-decode-$depth"
    awk -v kind="$kind" -v size="$size" -v p="$(median "$work/$kind-prefill-$prompt")" -v d="$(median "$work/$kind-decode-$prompt")" \
      -v deep="$(median "$work/$kind-decode-$depth")" -v rss="$(median "$work/$kind-rss-$prompt")" 'BEGIN {
        printf "| %s | %.1f | %.2f | %.2f | %s | %.1f |\n", kind, p, d, deep, rss == "-" ? rss : sprintf("%.0f", rss), d * size / 1e9 }'
  done
done
