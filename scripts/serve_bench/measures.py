"""What is measured: sessions of a server, each with steps in an order that lets later ones use what earlier ones left.

A step takes a `Session` and gives rows {label: value}. Labels begin with the figure's name.
"""
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time

from .servers import Reset, Server, Stream, body, quantile, together

WORDS = "the a little bird king house tree water stone red small old new day night went saw said made came".split()
# Fewer tokens are not worth a file to siskin's store.
STORED = 256


class Session:
    """A server, and what its steps need."""

    def __init__(self, server, rng, scale, results):
        self.server, self.rng, self.scale, self.results = server, rng, scale, results
        self.kept = {}

    def length(self, count):
        """A number of tokens; smaller in a trial."""
        return max(4, int(count * self.scale))

    def prompt(self, count):
        """Token ids of a text, so that both servers read the same number."""
        count = self.length(count)
        words = " ".join(self.rng.choice(WORDS) for _ in range(count * 2))
        return self.server.tokens(words)[:count]

    def stream(self, prompt, count):
        return Stream(self.server, prompt, self.length(count))


def ready(session):
    return {"A1 start to ready, s": session.server.ready_seconds}


def idle(session):
    """The part of one core that a server uses that nobody asks."""
    together(session.stream(session.prompt(16), 8))
    time.sleep(0.5)
    before, start = session.server.cpu_seconds(), time.monotonic()
    time.sleep(3)
    return {"A12 CPU with a model and no request, % of a core":
            100 * (session.server.cpu_seconds() - before) / (time.monotonic() - start)}


def decode(session):
    together(session.stream(session.prompt(16), 8))
    stream, = together(session.stream(session.prompt(16), 128))
    return {"A2 one stream, 128 tokens, tokens/s": stream.rate(),
            "A10 peak of resident memory after one stream, MiB": session.server.memory() / 2**20}


def overhead(session):
    """Answers of one token on one connection: what they take beyond the pass that the server reports."""
    import http.client
    prompt = session.prompt(16)
    connection = http.client.HTTPConnection("127.0.0.1", session.server.port, timeout=60)
    extra, whole = [], []
    for _ in range(60):
        text = json.dumps(body(prompt, 1))
        start = time.monotonic()
        connection.request("POST", "/v1/completions", text, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        whole.append(1000 * (time.monotonic() - start))
        timings = answer["timings"]
        extra.append(whole[-1] - timings["prompt_ms"] - timings["predicted_ms"])
    connection.close()
    # The first computes the prompt.
    extra, whole = extra[1:], whole[1:]
    return {"A3 answer of one token, median, ms": quantile(whole, 0.5),
            "A3 of it beyond the pass, median, ms": quantile(extra, 0.5), "A3 of it beyond the pass, p99, ms": quantile(extra, 0.99)}


def wrk(session):
    """Requests a second and their p99 in ms, by wrk with eight connections."""
    command = ["wrk", "-t1", "-c8", "-d2s", "--latency", f"http://127.0.0.1:{session.server.port}/health"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wrong = re.search(r"Non-2xx[^\n]*|Socket errors[^\n]*", text)
    if wrong:
        raise RuntimeError(f"wrk: {wrong.group(0)}")
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)), float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def health(session):
    if not shutil.which("wrk"):
        return {}
    rate, slow = wrk(session)
    stream = session.stream(session.prompt(16), 1500)
    stream.start()
    stream.wait_tokens(4)
    busy_rate, busy_slow = wrk(session)
    if not stream.is_alive():
        raise RuntimeError("the stream ended before wrk did")
    stream.leave = True
    stream.end()
    session.server.wait_idle()
    return {"A3 /health idle, requests/s": rate, "A3 /health idle, p99, ms": slow,
            "A3 /health while a stream decodes, requests/s": busy_rate, "A3 /health while a stream decodes, p99, ms": busy_slow}


def prefill(session):
    """A prompt of 1,900 tokens, cold, and again with 32 new tokens; siskin's store sees a third and keeps it."""
    tokens = session.prompt(1900)
    cold, = together(session.stream(tokens, 8))
    warm, = together(session.stream(tokens + session.prompt(32), 8))
    session.kept["cold"], session.kept["tokens"] = cold, tokens
    rows = {"A4 first token of a prompt of 1,900, s": cold.first(), "A4 the same again with 32 new tokens, s": warm.first(),
            "A7 a prompt of 1,900 alone, tokens/s": cold.timings["prompt_per_second"]}
    return rows


def stall(session):
    """Gaps between the tokens of a stream while a prompt of 1,900 tokens enters."""
    running = session.stream(session.prompt(32), 400)
    long = session.stream(session.prompt(1900), 8)
    running.start()
    running.wait_tokens(session.length(20))
    long.start()
    long.end()
    entered = long.stamps[0]
    running.leave = True
    running.end()
    stamps = running.stamps
    # Every gap that has a moment of that time in it.
    gaps = [1000 * (b - a) for a, b in zip(stamps, stamps[1:]) if b >= long.begun and a <= entered]
    before = [1000 * (b - a) for a, b in zip(stamps, stamps[1:]) if b < long.begun]
    rows = {"A6 gap between tokens without the prompt, median, ms": quantile(before, 0.5),
            "A6 gap while a prompt of 1,900 enters, median, ms": quantile(gaps, 0.5),
            "A6 gap while a prompt of 1,900 enters, p99, ms": quantile(gaps, 0.99),
            "A6 first token of the prompt that enters, s": long.first()}
    if "cold" in session.kept:
        rows["A7 prompt's speed lost to the stream, %"] = 100 * (1 - session.kept["cold"].first() / long.first())
    session.server.wait_idle()
    return rows


def cancel(session):
    """How long a place is taken after its client reset the connection."""
    client = Reset(session.server, session.prompt(16), session.length(400))
    client.wait_tokens(8)
    client.reset()
    decoding = session.server.wait_idle()
    # It is not asked whether the prompt is being read: llama-server answers that only after its pass.
    client = Reset(session.server, session.prompt(700), session.length(200))
    time.sleep(0.2)
    client.reset()
    return {"A13 place free after a reset while decoding, ms": 1000 * decoding,
            "A13 place free after a reset in a prompt of 700, ms": 1000 * session.server.wait_idle()}


def peak(session):
    server = session.server
    rows = {"A10 peak of resident memory after all this, MiB": server.memory() / 2**20}
    if server.name == "siskin":
        rows["A10 peak beyond the prediction, %"] = 100 * (server.memory() / server.metric("siskin_memory_predicted_bytes") - 1)
    return rows


def keep(session):
    """siskin's store writes a prefix that was used twice while nobody asks."""
    if session.server.name != "siskin" or len(session.kept["tokens"]) < STORED:
        return {}
    together(session.stream(session.kept["tokens"] + session.prompt(16), 8))
    end = time.monotonic() + 20
    while session.server.metric("siskin_prefix_store_writes_total") == 0:
        if time.monotonic() > end:
            raise RuntimeError("the store wrote nothing")
        time.sleep(0.05)
    return {"A16 written by the store for it, MiB": session.server.metric("siskin_prefix_store_written_bytes_total") / 2**20}


def drain(session):
    """SIGTERM while a stream runs."""
    stream = session.stream(session.prompt(16), 64)
    stream.start()
    stream.wait_tokens(4)
    session.server.process.send_signal(signal.SIGTERM)
    stream.join()
    whole = stream.error is None and stream.is_whole
    session.server.process.wait(60)
    return {"A14 a stream that runs at SIGTERM is finished, 1 or 0": float(whole),
            "A14 end of the process after the stream's, s": time.monotonic() - (stream.ended or time.monotonic())}


def second_signal(session):
    """SIGTERM twice while a stream runs; 0 if the process ended at the first."""
    stream = session.stream(session.prompt(16), 1000)
    stream.start()
    stream.wait_tokens(2)
    session.server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    start = time.monotonic()
    if session.server.process.poll() is not None:
        return {"A14 end after a second SIGTERM, s": 0.0}
    session.server.process.send_signal(signal.SIGTERM)
    session.server.process.wait(60)
    took = time.monotonic() - start
    stream.join()
    return {"A14 end after a second SIGTERM, s": took}


def all_decode(streams):
    """Tokens a second of all together, from the moment when all decode to the first end."""
    together(*streams)
    start, end = max(stream.stamps[0] for stream in streams), min(stream.stamps[-1] for stream in streams)
    count = sum(sum(start < stamp <= end for stamp in stream.stamps) for stream in streams)
    if end <= start:
        raise RuntimeError("the streams did not overlap")
    return count / (end - start)


def streams_64(session):
    one, = together(session.stream(session.prompt(64), 64))
    four = all_decode([session.stream(session.prompt(64), 128) for _ in range(4)])
    return {"A8 one stream after 64 tokens, tokens/s": one.rate(), "A8 four at once after 64 tokens, tokens/s": four,
            "A8 four against one, after 64 tokens": four / one.rate()}


def prompts_and_deep(session):
    """Four prompts of 700 at once; then they grow to 1,024, so that what was computed is used again."""
    prompts = [session.prompt(700) for _ in range(4)]
    firsts = sorted(stream.first() for stream in together(*[session.stream(prompt, 8) for prompt in prompts]))
    rows = {f"A8 first token of prompt {index + 1} of four of 700, s": value for index, value in enumerate(firsts)}
    prompts = [prompt + session.prompt(324) for prompt in prompts]
    one, = together(session.stream(prompts[0], 48))
    four = all_decode([session.stream(prompt, 96) for prompt in prompts])
    return {**rows, "A8 one stream after 1,024 tokens, tokens/s": one.rate(), "A8 four at once after 1,024 tokens, tokens/s": four,
            "A8 four against one, after 1,024 tokens": four / one.rate(),
            "A8 peak of resident memory, 4 places, 8,192 cells, MiB": session.server.memory() / 2**20}


def restart(session):
    """A prompt whose prefix is in the store, after a restart; then the model leaves memory, and comes again."""
    tokens = session.kept["tokens"]
    if len(tokens) < STORED:
        return {}
    warm, = together(session.stream(tokens + session.prompt(32), 8))
    hits = session.server.metric("siskin_prefix_store_hits_total")
    if hits != 1:
        raise RuntimeError(f"{hits:.0f} prefixes were read from the store")
    cold = session.kept["cold"].first()
    return {"A5 first token after a restart, prefix from the store, s": warm.first(), "A5 of a cold one, %": 100 * warm.first() / cold}


def unload(session):
    end = time.monotonic() + 30
    while session.server.metric("siskin_model_unloads_total") == 0:
        if time.monotonic() > end:
            raise RuntimeError("the model was not unloaded")
        time.sleep(0.1)
    time.sleep(0.3)
    rows = {"A12 resident memory, unloaded, MiB": session.server.memory("VmRSS") / 2**20}
    wake, = together(Stream(session.server, [1, 2, 3, 4], 4))
    return {**rows, "A12 first token of an unloaded model, s": wake.first()}


# Which steps serve which figures. A step runs if one of its figures is asked for.
FIRST = [(ready, "A1"), (idle, "A12"), (decode, "A2 A10"), (overhead, "A3"), (health, "A3"), (prefill, "A4 A5 A7"), (keep, "A5"),
         (stall, "A6 A7"), (cancel, "A13"), (peak, "A10"), (drain, "A14")]
SECOND = [(streams_64, "A8"), (prompts_and_deep, "A8"), (second_signal, "A14")]
THIRD = [(restart, "A5"), (unload, "A12")]


def run_alone(program, model, session, results):
    """`siskin run`, for what the service is compared with: decoding, a long prompt, memory."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        for count, words in ((128, 12), (1, int(1900 * session.scale * 0.9))):
            file.seek(0)
            file.truncate()
            file.write(" ".join(session.rng.choice(WORDS) for _ in range(words)))
            file.flush()
            command = [program, "run", *([model] if model else []), "--raw", "-f", file.name, "-n", str(count), "--temp", "0", "--json",
                       "-c", str(session.context)]
            stats = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["stats"]
            if count > 1:
                results["A2 one stream, 128 tokens, tokens/s"] = stats["decode_tokens_per_second"]
                results["A10 peak of resident memory after one stream, MiB"] = stats["peak_rss_bytes"] / 2**20
            else:
                results["A7 a prompt of 1,900 alone, tokens/s"] = stats["prompt_tokens_per_second"]
                results["A10 peak of resident memory after all this, MiB"] = stats["peak_rss_bytes"] / 2**20


def forget(folder):
    """Files leave the page cache, so that they are read from the disk."""
    for path in glob.glob(os.path.join(folder, "**"), recursive=True):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
