#!/usr/bin/env bash
# Compares the predicted peak of resident memory with the measured one: each model with three context lengths,
# and a prompt that fills a batch. Fails if they differ by more than 5 %.
#
#     scripts/check-budget.sh MODEL.gguf...
#
set -euo pipefail
cd "$(dirname "$0")/.."
[[ $# -gt 0 ]] || { sed -n '2,6p' "$0" >&2; exit 2; }
siskin=${SISKIN:-target/release/siskin}
prompt=$(for _ in {1..40}; do printf 'The king went to the sea and saw a ship. '; done)
worst=0
printf '%-34s%8s%12s%12s%8s\n' model context predicted measured error
for model in "$@"; do
    for context in 512 2048 4096; do
        plan=$("$siskin" fit "$model" -c "$context" --json)
        run=$("$siskin" run "$model" --raw -c "$context" -p "$prompt" -n 2 --temp 0 --json </dev/null)
        read -r predicted measured error < <(python3 - "$plan" "$run" <<'PY'
import json, sys
predicted = json.loads(sys.argv[1])["plan"]["total_bytes"]
measured = json.loads(sys.argv[2])["stats"]["peak_rss_bytes"]
print(f"{predicted / 2**20:.1f} {measured / 2**20:.1f} {100 * (predicted / measured - 1):+.2f}")
PY
)
        printf '%-34s%8s%8s MiB%8s MiB%6s %%\n' "$(basename "$model")" "$context" "$predicted" "$measured" "$error"
        worst=$(python3 -c "print(max($worst, abs($error)))")
    done
done
echo "largest error: $worst %"
python3 -c "raise SystemExit($worst > 5)"
