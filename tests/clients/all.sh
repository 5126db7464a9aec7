#!/usr/bin/env bash
# Every script of this folder that finds its clients, against BASE_URL. README.md has what to install.
set -uo pipefail
cd "$(dirname "$0")" || exit 2
failed=()
run() {
    echo "== $*"
    "$@" || failed+=("$1 ${2:-}")
}
for script in openai_client ollama_client anthropic_client framing metrics scoring home_assistant; do
    run "${PYTHON:-python3}" "$script.py"
done
if [[ -d node_modules ]]; then
    run node openai_client.mjs
    [[ -x ${CHROMIUM:-/usr/bin/chromium} ]] && run node page.mjs
fi
command -v schemathesis >/dev/null && run ./openapi.sh
command -v lm_eval >/dev/null && run ./lm_eval_task.sh
echo "failed: ${failed[*]:-nothing}"
exit $((${#failed[@]} > 0))
