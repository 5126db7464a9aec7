#!/usr/bin/env python3
"""Sends thousands of mixed requests to `siskin serve` and watches its memory: `make soak` (figure A11).

    scripts/soak-serve.py [MODEL.gguf] [--requests 10000] [--siskin PATH] [--clients 6]

Chats, streams that are left in the middle, completions that are scored, schemas, embeddings, tokens, and requests that are
refused, with a fixed seed. A row is printed at 500 requests and at every 1,000. It fails if an answer has a status that is
not right for its request, if private memory grows by more than 5 MiB after the first 500 requests, if descriptors stay open,
or if requests are left at the end.
"""
import argparse
import os
import random
import re
import sys
import threading
import time

from serve_bench.mix import request, send
from serve_bench.servers import Server


def watch(server):
    """Resident and private memory in MiB, and descriptors."""
    with open(f"/proc/{server.process.pid}/smaps_rollup") as file:
        rollup = file.read()
    resident, private = (int(re.search(rf"^{field}:\s+(\d+)", rollup, re.M).group(1)) / 1024 for field in ("Rss", "Pss_Anon"))
    return resident, private, len(os.listdir(f"/proc/{server.process.pid}/fd"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--siskin", default="target/release/siskin")
    parser.add_argument("--clients", type=int, default=6)
    args = parser.parse_args()
    with Server("siskin", args.siskin, args.model, 2, 0) as server:
        sys.exit(soak(server, args))


def soak(server, args):
    """Sends the requests; the number of problems that were found."""
    rng, lock = random.Random(1), threading.Lock()
    statuses, wrong, taken, kept = {}, [], [0], []
    start = time.monotonic()
    print("| requests | seconds | resident, MiB | private, MiB | descriptors |\n| ---: | ---: | ---: | ---: | ---: |", flush=True)

    def note(done):
        kept.append((done, *watch(server)))
        print(f"| {done} | {time.monotonic() - start:.0f} | {kept[-1][1]:.1f} | {kept[-1][2]:.1f} | {kept[-1][3]} |", flush=True)

    def client():
        while True:
            with lock:
                if taken[0] >= args.requests:
                    return
                taken[0] += 1
                path, body, cut, right = request(rng)
                if taken[0] in (500, args.requests) or taken[0] % 1000 == 0:
                    note(taken[0])
            try:
                status, answer = send(server.port, path, body, cut)
            except Exception as error:  # pylint: disable=broad-except
                # Whatever it is, it is a finding.
                status, answer = repr(error), b""
            with lock:
                statuses[status] = statuses.get(status, 0) + 1
                if status not in right:
                    wrong.append(f"{status} for {path} {str(body)[:200]}: {answer.decode(errors='replace')}")

    note(0)
    clients = [threading.Thread(target=client) for _ in range(args.clients)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    print(f"\n{args.requests} requests in {time.monotonic() - start:.0f} s: {dict(sorted(statuses.items(), key=str))}")
    end = time.monotonic() + 10
    while server.metric("siskin_requests_processing") > 0 and time.monotonic() < end:
        time.sleep(0.1)
    problems = [f"{len(wrong)} answers are not right:", *wrong[:10]] if wrong else []
    base = next((row for row in kept if row[0] >= min(500, args.requests)), kept[0])
    _, private, descriptors = watch(server)
    grown = private - base[2]
    if grown > 5 and args.requests > 500:
        problems.append(f"private memory grew by {grown:.1f} MiB")
    if descriptors > base[3] + args.clients:
        problems.append(f"{descriptors} descriptors are open")
    if server.metric("siskin_requests_processing") + server.metric("siskin_requests_deferred") > 0:
        problems.append("requests are left")
    server.process.terminate()
    if server.process.wait(60) != 0:
        problems.append(f"the service ended with {server.process.returncode}")
    print("\n".join(problems) or f"ok: private memory grew by {grown:.1f} MiB after the first 500 requests")
    return bool(problems)


main()
