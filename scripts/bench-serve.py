#!/usr/bin/env python3
"""Measures `siskin serve`, and llama-server beside it, in turns on this machine.

    scripts/bench-serve.py MODEL [--peer PATH/llama-server] [--rounds 5] [--only decode,streams,...]

Every round starts each server anew for each measure, siskin and the peer one after the other; medians of the rounds are
printed, with the load of the machine beside them. Only Python's standard library is used. Answers are greedy and never
end early (ignore_eos), so that both servers compute the same number of tokens.
"""
import argparse
import http.client
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

WORDS = "the a little bird king house tree water stone red small old new day night went saw said made came".split()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A server under measure."""

    def __init__(self, name, program, model, parallel, context, extra=()):
        self.name, self.port = name, free_port()
        if name == "siskin":
            command = [program, "serve", model, "--port", str(self.port), "--parallel", str(parallel), "-c", str(context)]
            self.ready = "/readyz"
        else:
            command = [program, "-m", model, "--port", str(self.port), "-np", str(parallel), "-c", str(context),
                       "--no-webui", "-t", str(os.cpu_count())]
            self.ready = "/health"
        self.started = time.monotonic()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([*command, *extra], stdout=self.log, stderr=self.log)
        while True:
            if self.process.poll() is not None:
                self.log.seek(0)
                sys.exit(f"{name} ended: {self.log.read().decode()[-2000:]}")
            try:
                if self.get(self.ready)[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.01)
        self.ready_seconds = time.monotonic() - self.started

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()

    def memory(self, field="VmRSS"):
        """Bytes of the process, by /proc/PID/status."""
        text = open(f"/proc/{self.process.pid}/status").read()
        return int(re.search(rf"{field}:\s+(\d+)", text).group(1)) * 1024

    def tokens(self, text):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/tokenize", json.dumps({"content": text}), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())["tokens"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Stream(threading.Thread):
    """A streamed answer, with the time of each token."""

    def __init__(self, server, prompt, count):
        super().__init__()
        self.server, self.prompt, self.count = server, prompt, count
        self.stamps, self.status, self.timings = [], 0, None
        self.begun = 0.0

    def run(self):
        body = {"prompt": self.prompt, "max_tokens": self.count, "temperature": 0, "stream": True, "ignore_eos": True,
                "cache_prompt": True, "logit_bias": {}}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=600)
        self.begun = time.monotonic()
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        self.status = response.status
        if self.status != 200:
            sys.exit(f"{self.server.name}: {self.status} {response.read()[:500]}")
        for line in response:
            if line.startswith(b"data: {"):
                event = json.loads(line[6:])
                self.timings = event.get("timings") or self.timings
                choices = event.get("choices") or [{}]
                if choices[0].get("finish_reason") is None and choices:
                    self.stamps.append(time.monotonic())

    def first(self):
        return self.stamps[0] - self.begun

    def gaps(self):
        return [b - a for a, b in zip(self.stamps, self.stamps[1:])]

    def rate(self):
        return self.timings["predicted_per_second"]


def text(rng, count):
    return " ".join(rng.choice(WORDS) for _ in range(count))


def prompt(server, rng, count):
    """Token ids of a text, so that both servers read the same number."""
    return server.tokens(text(rng, count * 2))[:count]


def together(streams):
    start = time.monotonic()
    for stream in streams:
        stream.start()
    for stream in streams:
        stream.join()
    return time.monotonic() - start


def decode(make, rng):
    """One stream, 256 tokens."""
    with make(2, 4096) as server:
        together([Stream(server, prompt(server, rng, 16), 8)])
        stream = Stream(server, prompt(server, rng, 16), 256)
        together([stream])
        return {"tokens/s": stream.rate(), "ready s": server.ready_seconds, "RSS MiB": server.memory() / 2**20}


def streams(make, rng, depth):
    """Four streams, 128 tokens each, all decoding; and one for comparison."""
    with make(4, 4 * (depth + 256)) as server:
        one = Stream(server, prompt(server, rng, depth), 64)
        together([one])
        many = [Stream(server, prompt(server, rng, depth), 128) for _ in range(4)]
        together(many)
        # From the moment when all decode to the first end.
        start = max(stream.stamps[0] for stream in many)
        end = min(stream.stamps[-1] for stream in many)
        count = sum(sum(start <= stamp <= end for stamp in stream.stamps) for stream in many)
        rate = count / (end - start) if end > start else float("nan")
        return {f"one, depth {depth}": one.rate(), f"four, depth {depth}": rate,
                f"RSS MiB, depth {depth}": server.memory("VmHWM") / 2**20}


def stall(make, rng):
    """Gaps between the tokens of a stream while a prompt of 1,900 tokens enters."""
    with make(2, 4096) as server:
        running = Stream(server, prompt(server, rng, 32), 300)
        long = Stream(server, prompt(server, rng, 1900), 24)
        running.start()
        while len(running.stamps) < 20:
            time.sleep(0.01)
        long.start()
        long.join()
        entered = long.stamps[0]
        running.join()
        # Every gap that has a moment of that time in it.
        gaps = sorted(b - a for a, b in zip(running.stamps, running.stamps[1:]) if b >= long.begun and a <= entered)
        return {"gap p50 ms": 1000 * statistics.median(gaps), "gap p99 ms": 1000 * gaps[int(len(gaps) * 0.99)],
                "gap max ms": 1000 * gaps[-1], "its first token s": long.first()}


def prompts(make, rng):
    """Four prompts of 700 tokens at once: when each has its first token."""
    with make(4, 4096) as server:
        many = [Stream(server, prompt(server, rng, 700), 16) for _ in range(4)]
        together(many)
        firsts = sorted(stream.first() for stream in many)
        return {f"first token of prompt {index + 1} s": value for index, value in enumerate(firsts)}


def prefill(make, rng):
    """A prompt of 1,900 tokens alone, cold, then again with 32 new tokens."""
    with make(2, 4096) as server:
        tokens = prompt(server, rng, 1900)
        cold = Stream(server, tokens, 16)
        together([cold])
        warm = Stream(server, tokens + prompt(server, rng, 32), 16)
        together([warm])
        return {"cold first token s": cold.first(), "warm first token s": warm.first(),
                "prompt tokens/s": cold.timings["prompt_per_second"]}


MEASURES = {
    "decode": decode,
    "streams": lambda make, rng: streams(make, rng, 64),
    "deep": lambda make, rng: streams(make, rng, 1024),
    "stall": stall,
    "prompts": prompts,
    "prefill": prefill,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--siskin", default="target/release/siskin")
    parser.add_argument("--peer", help="llama-server, built on this machine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(MEASURES))
    args = parser.parse_args()
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    print(f"# {os.path.basename(args.model)}, {time.strftime('%Y-%m-%d')}, {cpu.group(1) if cpu else 'unknown CPU'}, "
          f"{os.cpu_count()} CPUs, load before {os.getloadavg()[0]:.2f}, {args.rounds} rounds, medians")
    servers = {"siskin": args.siskin, **({"llama-server": args.peer} if args.peer else {})}
    for name in args.only.split(","):
        results = {server: [] for server in servers}
        for round_number in range(args.rounds):
            for server, program in servers.items():
                rng = random.Random(round_number)
                make = lambda parallel, context, s=server, p=program: Server(s, p, args.model, parallel, context)
                results[server].append(MEASURES[name](make, rng))
        keys = results["siskin"][0]
        for key in keys:
            medians = {s: statistics.median(r[key] for r in rows) for s, rows in results.items()}
            line = f"{name:8} {key:26} " + "  ".join(f"{s} {value:9.2f}" for s, value in medians.items())
            if args.peer:
                line += f"  ratio {medians['siskin'] / medians['llama-server']:.2f}"
            print(line, flush=True)


main()
