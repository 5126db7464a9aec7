#!/usr/bin/env bash
# Compares siskin's runtime with llama.cpp's; they take turns in every round. Measures a prompt of 512,
# decoding of 64, peak RSS, and the time of a whole process from its start to its first token. Prints medians
# and siskin's ratio to llama.cpp's defaults.
#
#     scripts/bench-runtime.sh LLAMA_BENCH MODEL.gguf...        ROUNDS [5], SISKIN [target/release/siskin]
#
# Needs an idle machine. LLAMA_BENCH is llama.cpp's own llama-bench, built natively (-DGGML_NATIVE=ON).
set -euo pipefail
cd "$(dirname "$0")/.."
[[ $# -gt 1 ]] || { sed -n '2,8p' "$0" >&2; exit 2; }
bench=$1
shift
SISKIN=${SISKIN:-target/release/siskin} ROUNDS=${ROUNDS:-5} exec python3 - "$bench" "$@" <<'PY'
import json, os, resource, statistics, subprocess, sys, time

bench, models = sys.argv[1], sys.argv[2:]
siskin, rounds = os.environ["SISKIN"], int(os.environ["ROUNDS"])
prompt = "The king went to the sea and saw a ship. " * 60
MIB = 1 << 20


def run(command):
    """Output, seconds and peak RSS of a process; None if it fails."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        print(f"  failed with {process.returncode}: {' '.join(command)[:120]}", file=sys.stderr)
        return None
    return out, time.monotonic() - start, usage.ru_maxrss * 1024


def words(model, count):
    """A prompt of about `count` tokens of this model."""
    ids = subprocess.run([siskin, "tokenize", model, prompt, "--ids"], capture_output=True, text=True, check=True).stdout
    total = len(ids.replace(",", " ").split())
    return prompt[: int(len(prompt) * count / total)]


def one_of_siskin(model, flags):
    text = words(model, 512)
    ask = lambda text, count: run([siskin, "run", model, "--raw", "-p", text, "-n", count, "--temp", "0", "-c", "640", "--json", *flags])
    # llama-bench decodes without a prompt before it.
    whole, short, first = ask(text, "64"), ask("The", "64"), ask("The", "1")
    if not whole or not short or not first:
        return None
    speed = lambda ran, what: json.loads(ran[0])["stats"][f"{what}_tokens_per_second"]
    return speed(whole, "prompt"), speed(short, "decode"), whole[2], first[1]


def one_of_llama_cpp(model, flags):
    command = [bench, "-m", model, "-r", "1", "-o", "json", "-t", str(len(os.sched_getaffinity(0))), *flags]
    ran = run([*command, "-p", "512", "-n", "64"])
    first = run([*command, "-p", "1", "-n", "0", "--no-warmup"])
    if not ran or not first:
        return None
    tests = json.loads(ran[0])
    speed = {bool(test["n_gen"]): test["avg_ts"] for test in tests}
    return speed[False], speed[True], ran[2], first[1]


CONTESTANTS = [
    ("llama.cpp", one_of_llama_cpp, []),
    ("siskin", one_of_siskin, []),
    ("siskin --favor decode", one_of_siskin, ["--favor", "decode"]),
    ("siskin --favor memory", one_of_siskin, ["--favor", "memory"]),
]
print(f"{rounds} rounds, in turns, medians; start: the whole process up to its first token")
print(f"{'':<24}{'prompt 512':>12}{'decode 64':>12}{'peak RSS':>12}{'start':>9}")
for model in models:
    print(f"{os.path.basename(model)}, {os.path.getsize(model) / MIB:.0f} MiB")
    results = {name: [] for name, _, _ in CONTESTANTS}
    for _ in range(rounds):
        for name, measure, flags in CONTESTANTS:
            sample = measure(model, flags)
            if sample:
                results[name].append(sample)
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in results.items() if rows}
    base = medians.get("llama.cpp")
    for name, _, _ in CONTESTANTS:
        if name not in medians:
            print(f"  {name:<22}  failed: not measured")
            continue
        prefill, decode, rss, start = medians[name]
        print(f"  {name:<22}{prefill:>8.1f} t/s{decode:>8.2f} t/s{rss / MIB:>8.0f} MiB{start:>7.2f} s")
        if base and name != "llama.cpp":
            ratios = [mine / theirs for mine, theirs in zip(medians[name], base)]
            print(f"  {'  ratio':<22}{ratios[0]:>12.2f}{ratios[1]:>12.2f}{ratios[2]:>12.2f}{ratios[3]:>9.2f}")
PY
