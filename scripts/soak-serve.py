#!/usr/bin/env python3
"""Sends thousands of mixed requests to `siskin serve` and watches its memory: `make soak`.

    scripts/soak-serve.py [MODEL.gguf] [--requests 10000] [--siskin PATH] [--clients 6]

Chats, streams that are left in the middle, completions that are scored, schemas, embeddings, tokens, and requests that are
refused, with a fixed seed. It fails if a request is answered with 500, if private memory grows by more than 5 MiB after the first
500 requests, if descriptors stay open, or if requests or cells are left at the end.
"""
import argparse
import http.client
import json
import os
import random
import re
import subprocess
import sys
import threading
import time

WORDS = "the little bird king house tree water stone red small old new day night went saw said".split()


def text(rng, least, most):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(least, most)))


def request(rng):
    """A path, a body, how many bytes of the answer are read before the client leaves (None for all), statuses that are right."""
    few = {"max_tokens": rng.randint(1, 24), "temperature": rng.choice([0, 1.0]), "seed": rng.randint(0, 99)}
    message = [{"role": "user", "content": text(rng, 1, 40)}]
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["a"],
              "additionalProperties": False}
    return rng.choice([
        ("/v1/chat/completions", {"messages": message, **few}, None, {200, 503}),
        ("/v1/chat/completions", {"messages": message, "stream": True, **few}, None, {200, 503}),
        ("/v1/chat/completions", {"messages": message, "stream": True, "max_tokens": 200}, rng.randint(1, 2000), {200, 503}),
        ("/v1/chat/completions", {"messages": message, "n": 2, "logprobs": True, "top_logprobs": 2, **few}, None, {200, 503}),
        ("/v1/chat/completions", {"messages": message, "max_tokens": 40, "response_format":
         {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}}, None, {200, 503}),
        ("/v1/completions", {"prompt": text(rng, 1, 30), "echo": True, "logprobs": 1, "max_tokens": 0}, None, {200, 503}),
        ("/v1/completions", {"prompt": text(rng, 1, 30), "stop": ["the"], "logit_bias": {"5": -100}, **few}, None, {200, 503}),
        ("/v1/embeddings", {"input": text(rng, 1, 30)}, None, {200, 503}),
        ("/api/chat", {"model": "", "messages": message, "options": {"num_predict": 5}}, None, {200, 503}),
        ("/v1/messages", {"model": "", "messages": message, "max_tokens": 5}, None, {200, 503}),
        ("/tokenize", {"content": text(rng, 1, 200)}, None, {200}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": text(rng, 9000, 9000)}]}, None, {400}),
        ("/v1/chat/completions", {"messages": message, "temperature": -1}, None, {400}),
        ("/v1/chat/completions", {"messages": message, "response_format": {"type": "json_schema", "json_schema": {
            "schema": {"not": {}}}}}, None, {400}),
        ("/v1/nothing", {}, None, {404}),
    ])


class Server:
    def __init__(self, program, model):
        command = [program, "serve", *([model] if model else []), "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"serving at http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                break
        else:
            sys.exit("the service does not start")
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()

    def ask(self, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("POST" if body is not None else "GET", path, json.dumps(body) if body is not None else None,
                           {"Content-Type": "application/json"})
        return connection, connection.getresponse()

    def metric(self, name):
        found = re.search(rf"^{name} ([0-9.]+)$", self.ask("/metrics")[1].read().decode(), re.M)
        return float(found.group(1))

    def anonymous(self):
        rollup = open(f"/proc/{self.process.pid}/smaps_rollup").read()
        return int(re.search(r"Pss_Anon:\s+(\d+)", rollup).group(1)) / 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--siskin", default="target/release/siskin")
    parser.add_argument("--clients", type=int, default=6)
    args = parser.parse_args()
    server = Server(args.siskin, args.model)
    rng, lock = random.Random(1), threading.Lock()
    statuses, wrong, left = {}, [], [args.requests]
    anonymous = []

    def client():
        while True:
            with lock:
                if left[0] <= 0:
                    return
                left[0] -= 1
                done = args.requests - left[0]
                path, body, cut, right = request(rng)
                if done in (500, args.requests) or done % 1000 == 0:
                    anonymous.append((done, server.anonymous(), server.descriptors()))
                    print(f"{done} requests: {anonymous[-1][1]:.1f} MiB private, {anonymous[-1][2]} descriptors", flush=True)
            try:
                connection, response = server.ask(path, body)
                response.read(cut) if cut else response.read()
                status = response.status
                connection.close()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                status = repr(error)
            with lock:
                statuses[status] = statuses.get(status, 0) + 1
                if status not in right:
                    wrong.append((status, path, str(body)[:200]))

    start = time.monotonic()
    clients = [threading.Thread(target=client) for _ in range(args.clients)]
    [thread.start() for thread in clients]
    [thread.join() for thread in clients]
    print(f"{args.requests} requests in {time.monotonic() - start:.0f} s: {dict(sorted(statuses.items(), key=str))}")
    for _ in range(100):
        if server.metric("siskin_requests_processing") == 0:
            break
        time.sleep(0.1)
    problems = [f"{status} for {path} {body}" for status, path, body in wrong[:10]]
    grown = server.anonymous() - anonymous[0][1]
    if grown > 5 and args.requests > 500:
        problems.append(f"private memory grew by {grown:.1f} MiB")
    if server.descriptors() > anonymous[0][2] + args.clients:
        problems.append(f"{server.descriptors()} descriptors are open")
    if server.metric("siskin_requests_processing") + server.metric("siskin_requests_deferred") > 0:
        problems.append("requests are left")
    server.process.terminate()
    if server.process.wait(60) != 0:
        problems.append(f"the service ended with {server.process.returncode}")
    print("\n".join(problems) or f"ok: private memory grew by {grown:.1f} MiB after the first 500 requests")
    sys.exit(bool(problems))


main()
