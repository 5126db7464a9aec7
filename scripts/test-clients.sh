#!/usr/bin/env bash
# Runs other people's clients against `siskin serve`: tests/clients, in a virtual environment in target/clients.
#
#   scripts/test-clients.sh MODEL.gguf     a model with a chat template and a context of 4,096 tokens
#
# The program must be built (make build). Packages come from PyPI and npm; what cannot be installed is named, and the
# script then ends with 3.
set -euo pipefail
cd "$(dirname "$0")/.."
model=$(realpath "${1:?the path of a model with a chat template}")
folder=target/clients
mkdir -p "$folder"
[[ -x $folder/bin/python ]] || python3 -m venv "$folder"
if ! "$folder/bin/pip" install --quiet --disable-pip-version-check -r tests/clients/requirements.txt; then
    echo "test-clients: the clients cannot be installed from PyPI"
    exit 3
fi
log=$folder/serve.log
./target/release/siskin serve "$model" --port 0 2>"$log" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
for _ in $(seq 100); do
    grep -q 'serving at http' "$log" && break
    kill -0 $server 2>/dev/null || { cat "$log"; exit 1; }
    sleep 0.1
done
BASE_URL=$(grep -o 'http://[^ ]*' "$log" | head -n 1)
export BASE_URL PYTHON=$PWD/$folder/bin/python EXAMPLES=${EXAMPLES:-3}
PATH=$PWD/$folder/bin:$PATH tests/clients/all.sh
kill $server
wait $server
echo "test-clients: the service ended with 0"
