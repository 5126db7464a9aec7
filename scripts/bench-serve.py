#!/usr/bin/env python3
"""Measures `siskin serve`, with llama-server and `siskin run` beside it, in turns on this machine.

    scripts/bench-serve.py MODEL --siskin PROGRAM [--peer PATH/llama-server] [--rounds 5] [--minutes 30] [--only A2,A8]

Prints one Markdown table: a row a measure, with the median of the rounds and (least–most). A round measures everything once
with each program; siskin and llama-server take turns in beginning. Each is started twice a round, siskin once more to see
what its store keeps over a restart. No round is begun that would not end within --minutes, and what is not done by then is
left out and named.

Answers are greedy and never end early (ignore_eos), so that both servers compute as many tokens. Times are the client's,
unless a row says otherwise. llama-server has its defaults but for places, context and threads. /health is asked by `wrk`,
if it is installed. --scale 0.1 makes all lengths shorter, to try the script out. Only Python's standard library is used.

Rows:
- A1: until READY=1 (siskin: a token was computed by then), or until /health is 200 (llama-server).
- A3 "beyond the pass": the client's time without the prompt's and the answer's time that the server reports.
- A6: a stream decodes while a prompt enters. A7: how much longer the prompt takes than alone.
- A8 "four at once" counts tokens while all four decode.
- A10: VmHWM, and that of `siskin run` with the same context.
- A13: until /slots shows no request that is processed.
"""
import argparse
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from serve_bench import measures
from serve_bench.servers import Server

PROGRAMS = ["siskin", "llama-server", "siskin run"]


def say(words):
    print(words, file=sys.stderr, flush=True)


def busy():
    """How much of the machine others use now, in percent."""
    def read():
        with open("/proc/stat") as stat:
            numbers = [int(number) for number in stat.readline().split()[1:9]]
        return sum(numbers), numbers[3] + numbers[4]
    (all_before, idle_before), _, (all_after, idle_after) = read(), time.sleep(1), read()
    return 100 * (1 - (idle_after - idle_before) / max(1, all_after - all_before))


def run_steps(steps, session, only):
    """Each step that is asked for. One that fails is named, and its rows miss a round."""
    for step, figures in steps:
        start = time.monotonic()
        if only.isdisjoint(figures.split()):
            continue
        if start > session.deadline:
            session.results.setdefault("failed", []).append(f"{step.__name__}: no time")
            continue
        try:
            session.results.update(step(session))
            words = "ok"
        except Exception as error:  # pylint: disable=broad-except
            words = f"FAILED: {type(error).__name__}: {error}"
            session.results.setdefault("failed", []).append(f"{step.__name__}: {words[8:]}")
        say(f"  {session.server.name:12} {step.__name__:16} {time.monotonic() - start:6.1f} s  {words}")


def measure(name, program, args, only, seed, deadline):
    """Everything once with one program; steps that would begin after the deadline are left out."""
    results, rng, context = {}, random.Random(seed), 4096 if args.scale >= 1 else 0

    def session(steps, parallel, context, extra=(), kept=None):
        if all(only.isdisjoint(figures.split()) for _, figures in steps):
            return {}
        with Server(name, program, args.model, parallel, context or args.context, extra) as server:
            it = measures.Session(server, rng, args.scale, results)
            it.kept, it.deadline = kept or {}, deadline
            run_steps(steps, it, only)
            return it.kept

    with tempfile.TemporaryDirectory(dir=args.store) as store:
        keeps = name == "siskin" and "A5" in only
        flags = ("--prefix-store", store) if keeps else ()
        kept = session(measures.FIRST, 2, context, flags)
        if keeps or (name == "siskin" and "A12" in only):
            measures.forget(store)
            steps = [step for step in measures.THIRD if step[1] != "A5" or "tokens" in kept]
            session(steps, 2, context, (*flags, "--idle-unload", "1s"), kept)
    session(measures.SECOND, 4, 2 * context)
    return results


def alone(args, only, seed):
    """`siskin run` beside."""
    results = {}
    if not only.isdisjoint({"A2", "A7", "A10"}):
        session = measures.Session(None, random.Random(seed), args.scale, results)
        session.context = 4096 if args.scale >= 1 else args.context
        start = time.monotonic()
        measures.run_alone(args.siskin, args.model, session, results)
        say(f"  siskin run                    {time.monotonic() - start:6.1f} s")
    return results


def cell(values):
    if not values:
        return ""
    digits = 0 if min(map(abs, values)) >= 100 else 1 if min(map(abs, values)) >= 10 else 2
    middle, least, most = (f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({least}–{most})"


def table(rounds, programs):
    """The Markdown table: rows in the order of their figures, as they were met within one."""
    labels = list(dict.fromkeys(label for results in rounds for rows in results.values() for label in rows if label != "failed"))
    labels.sort(key=lambda label: int(re.match(r"A(\d+)", label).group(1)))
    ratio = ["siskin / llama-server"] if "llama-server" in programs else []
    lines = ["| measure | " + " | ".join([*programs, *ratio]) + " |", "| --- |" + " ---: |" * (len(programs) + len(ratio))]
    for label in labels:
        columns = {name: [results[name][label] for results in rounds if label in results.get(name, {})] for name in programs}
        cells = [cell(columns[name]) for name in programs]
        if ratio:
            ours, theirs = columns["siskin"], columns["llama-server"]
            known = ours and theirs and statistics.median(theirs) != 0 and not label.endswith("1 or 0")
            cells.append(f"{statistics.median(ours) / statistics.median(theirs):.2f}" if known else "")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def compared(rounds):
    """Ratios of siskin's service to `siskin run`, of each round: both were measured within a minute or two."""
    lines = []
    for label in ("A2 one stream, 128 tokens, tokens/s", "A7 a prompt of 1,900 alone, tokens/s"):
        parts = [100 * results["siskin"][label] / results["siskin run"][label] for results in rounds
                 if label in results.get("siskin", {}) and label in results.get("siskin run", {})]
        if parts:
            lines.append(f"{label.rsplit(',', 1)[0]}: siskin serve has {cell(parts)} % of siskin run's speed, by round")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--siskin", default="target/release/siskin")
    parser.add_argument("--peer", help="llama-server, built on this machine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--only", default="A1,A2,A3,A4,A5,A6,A7,A8,A10,A12,A13,A14", help="figures, as A2,A8")
    parser.add_argument("--scale", type=float, default=1, help="of all lengths, for a trial")
    parser.add_argument("--context", type=int, default=2048, help="context of a trial with --scale below 1")
    parser.add_argument("--store", help="folder for siskin's store; it should be on a real disk")
    args = parser.parse_args()
    only = set(args.only.split(","))
    programs = [name for name in PROGRAMS if name != "llama-server" or args.peer]
    if not shutil.which("wrk") and "A3" in only:
        say("wrk is not installed: /health is not measured")
    with open(args.model, "rb") as model:
        while model.read(1 << 24):
            pass
    rounds, others, longest, begun = [], [], 0, time.monotonic()
    # A script that is asked to end stops its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for number in range(args.rounds):
        start = time.monotonic()
        if rounds and start - begun + longest > 60 * args.minutes:
            say(f"no time for round {number + 1}")
            break
        others.append(busy())
        say(f"round {number + 1} of {args.rounds}, others use {others[-1]:.0f} % of the machine")
        results = {}
        rounds.append(results)
        turns = [("siskin", args.siskin), ("llama-server", args.peer)]
        for name, program in turns if number % 2 == 0 else turns[::-1]:
            if not program:
                continue
            if name == "siskin":
                results["siskin run"] = alone(args, only, number)
            results[name] = measure(name, program, args, only, number, begun + 60 * args.minutes)
        longest = max(longest, time.monotonic() - start)
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    version = subprocess.run([args.siskin, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{os.path.basename(args.model)}, {version}, {time.strftime('%Y-%m-%d')}, {cpu.group(1) if cpu else 'unknown CPU'}, {os.cpu_count()} "
          f"CPUs; {len(rounds)} rounds in {(time.monotonic() - begun) / 60:.0f} minutes: median (least–most); others used "
          f"{', '.join(f'{value:.0f}' for value in others)} % of the machine before each round\n")
    print(table(rounds, programs))
    print("\n" + compared(rounds))
    failed = [f"round {index + 1}, {name}, {words}" for index, results in enumerate(rounds) for name, rows in results.items()
              for words in rows.get("failed", [])]
    print("\n".join(failed))
    sys.exit(bool(failed))


main()
