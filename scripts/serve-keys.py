#!/usr/bin/env python3
"""Whether the time of an answer 401 tells how much of a key was right (figure A17).

    scripts/serve-keys.py --siskin PROGRAM [--requests 2000]

Starts `siskin serve` with one key and sends, on one connection and in random order, as many requests with a key whose first
character is wrong as with one whose last character is wrong. Prints both medians, and how sure one can be that they differ:
z of the Mann–Whitney test, which for two equal sorts of requests is below 3 in 997 of 1,000 runs. The same test between the
two halves of one sort shows what the noise alone gives. Fails if the difference is beyond both 4 and the noise.
It takes a second for 2,000 requests, 20 s for 100,000. Only Python's standard library is used.
"""
import argparse
import math
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from serve_bench.servers import Server


def z_of(a, b):
    """The Mann–Whitney test by normal approximation: how many standard deviations the ranks of `a` are off."""
    both = sorted([(value, 0) for value in a] + [(value, 1) for value in b])
    ranks, ties, index = 0.0, 0, 0
    while index < len(both):
        end = index
        while end < len(both) and both[end][0] == both[index][0]:
            end += 1
        rank = (index + 1 + end) / 2
        ranks += sum(rank for _, sort in both[index:end] if sort == 0)
        ties += (end - index) ** 3 - (end - index)
        index = end
    n, m = len(a), len(b)
    total = n + m
    deviation = math.sqrt(n * m / 12 * (total + 1 - ties / (total * (total - 1))))
    return (ranks - n * (total + 1) / 2) / deviation


def wrong(key, index):
    return key[:index] + ("A" if key[index] != "A" else "B") + key[index + 1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--siskin", default="target/release/siskin")
    parser.add_argument("--requests", type=int, default=2000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        answer = subprocess.run([args.siskin, "serve", "--new-key", "test"], capture_output=True, text=True, check=True)
        key, entry = answer.stdout.strip(), next(line for line in answer.stderr.split("\n") if "sha256:" in line)
        path = os.path.join(folder, "keys")
        with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(entry.strip() + "\n")
        with Server("siskin", args.siskin, "", 2, 0, ["--api-key-file", path]) as server:
            client = Client(server.port)
            assert client.ask(key)[0] == 200, "the right key is refused"
            sorts = {"first": wrong(key, 0), "last": wrong(key, len(key) - 1)}
            plan = list(sorts) * (args.requests // 2)
            random.Random(1).shuffle(plan)
            times = {sort: [] for sort in sorts}
            for sort in plan:
                status, took = client.ask(sorts[sort])
                assert status == 401, f"{status} instead of 401"
                times[sort].append(took)
    first, last = times["first"], times["last"]
    medians = [1e6 * statistics.median(values) for values in (first, last)]
    z, noise = z_of(first, last), z_of(first[::2], first[1::2])
    print(f"{len(plan)} requests: 401 after {medians[0]:.1f} µs (first character wrong) and {medians[1]:.1f} µs (last), medians; "
          f"z {z:+.2f}, of one sort's halves {noise:+.2f}")
    sys.exit(abs(z) > 4 and abs(z) > 2 * abs(noise))


class Client:
    """One connection that is kept. A plain socket has less noise than http.client."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, key):
        """The status of /v1/models, and seconds until the answer was there."""
        request = f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        start = time.perf_counter()
        self.socket.sendall(request)
        answer = self.socket.recv(65536)
        took = time.perf_counter() - start
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(rest) < length:
            rest += self.socket.recv(65536)
        return int(head.split()[1]), took


main()
