"""Servers under measure, and clients that note the time of every token. Only Python's standard library is used."""
import http.client
import json
import os
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

JSON = {"Content-Type": "application/json"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A program that serves a model, from its start to its end. `name` is "siskin" or "llama-server"."""

    def __init__(self, name, program, model, parallel=2, context=4096, extra=()):
        self.name, self.port = name, free_port()
        self.folder = tempfile.TemporaryDirectory()
        self.log = open(os.path.join(self.folder.name, "log"), "w+b")
        environment = dict(os.environ)
        if name == "siskin":
            command = [program, "serve", *([model] if model else []), "--port", str(self.port), "--parallel", str(parallel),
                       *(["-c", str(context)] if context else []), *extra]
            # READY=1 comes through a socket as systemd's: no polling disturbs the start.
            self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            environment["NOTIFY_SOCKET"] = os.path.join(self.folder.name, "notify")
            self.notices.bind(environment["NOTIFY_SOCKET"])
        else:
            command = [program, "-m", model, "--port", str(self.port), "-np", str(parallel), "-c", str(context), "--no-webui",
                       "-t", str(os.cpu_count()), *extra]
            self.notices = None
        started = time.monotonic()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=environment)
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() - started > 120:
                self.process.kill()
                sys.exit(f"{name} does not start: {self.read_log()[-2000:]}")
        self.ready_seconds = time.monotonic() - started

    def is_ready(self):
        if self.notices:
            self.notices.settimeout(0.2)
            try:
                return b"READY=1" in self.notices.recv(4096)
            except TimeoutError:
                return False
        try:
            if self.get("/health")[0] == 200:
                return True
        except OSError:
            pass
        time.sleep(0.01)
        return False

    def read_log(self):
        with open(self.log.name, errors="replace") as log:
            return log.read()

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, body):
        return self.ask("POST", path, json.dumps(body))

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request(method, path, body, JSON)
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    def tokens(self, text):
        return json.loads(self.post("/tokenize", {"content": text, "add_special": False})[1])["tokens"]

    def metric(self, name):
        """A figure of siskin's /metrics."""
        found = re.search(rf"^{name} ([0-9.e+-]+)$", self.get("/metrics")[1].decode(), re.M)
        return float(found.group(1))

    def is_idle(self):
        """Whether no request has a place, by /slots, which both programs have."""
        return not any(slot["is_processing"] for slot in json.loads(self.get("/slots")[1]))

    def wait_idle(self, poll=0.003):
        """Seconds until no request has a place."""
        start = time.monotonic()
        while not self.is_idle():
            time.sleep(poll)
        return time.monotonic() - start

    def memory(self, field="VmHWM"):
        """Bytes of the process, by /proc/PID/status: VmHWM is the peak of VmRSS."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(rf"{field}:\s+(\d+)", status.read()).group(1)) * 1024

    def cpu_seconds(self):
        """CPU time of all threads that live, in nanoseconds' resolution, which /proc/PID/stat does not have."""
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/schedstat") as stat:
                total += int(stat.read().split()[0])
        return total / 1e9

    def stop(self, seconds=20):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        if self.notices:
            self.notices.close()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Stream(threading.Thread):
    """A streamed answer of `count` tokens, with the time of each. It is greedy and does not end early."""

    def __init__(self, server, prompt, count):
        super().__init__(daemon=True)
        self.server, self.prompt, self.count = server, prompt, count
        self.stamps, self.timings, self.error = [], {}, None
        self.begun = self.ended = 0.0
        self.leave = self.is_whole = False

    def run(self):
        try:
            self.read()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def read(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=600)
        self.begun = time.monotonic()
        connection.request("POST", "/v1/completions", json.dumps(body(self.prompt, self.count, stream=True)), JSON)
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{self.server.name}: {response.status} {response.read()[:500]}")
        for line in response:
            if self.leave:
                break
            if line.startswith(b"data: {"):
                event = json.loads(line[6:])
                if "error" in event:
                    raise RuntimeError(f"{self.server.name}: {line[:500]}")
                self.timings = event.get("timings") or self.timings
                self.ended = time.monotonic()
                if any(choice.get("finish_reason") for choice in event.get("choices", [])):
                    self.is_whole = True
                elif event.get("choices"):
                    self.stamps.append(self.ended)
        response.close()
        connection.close()

    def wait_tokens(self, count):
        while len(self.stamps) < count and self.is_alive():
            time.sleep(0.002)

    def end(self):
        """Waits for the end; the error of the stream is raised here."""
        self.join()
        if self.error:
            raise self.error
        return self

    def first(self):
        """Seconds to the first token."""
        return self.stamps[0] - self.begun

    def rate(self):
        """Tokens a second after the first, by the client's clock. A piece of a character may have no chunk of its own."""
        return (self.timings.get("predicted_n", len(self.stamps)) - 1) / (self.stamps[-1] - self.stamps[0])


def body(prompt, count, stream=False):
    return {"prompt": prompt, "max_tokens": count, "temperature": 0, "stream": stream, "ignore_eos": True, "cache_prompt": True}


def together(*streams):
    for stream in streams:
        stream.start()
    for stream in streams:
        stream.end()
    return streams


class Reset:
    """A client that resets its connection (RST), after so many tokens or seconds."""

    def __init__(self, server, prompt, count):
        text = json.dumps(body(prompt, count, stream=True))
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self.socket.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                            f"Content-Length: {len(text)}\r\n\r\n{text}".encode())

    def wait_tokens(self, count):
        seen = b""
        while seen.count(b"\ndata: {") < count:
            piece = self.socket.recv(65536)
            if not piece:
                raise RuntimeError(f"the stream ended: {seen[:300]!r}")
            seen += piece

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def quantile(values, part):
    """The value below which that part of the values is; the median is exact."""
    if part == 0.5:
        return statistics.median(values)
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]
