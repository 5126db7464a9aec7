"""The bytes of a stream, read by a parser that is not ours: frames, comments, whole characters, the end, a client that leaves."""

import json
import re
import socket
import time
from urllib.parse import urlparse

import httpx
from httpx_sse import connect_sse

from common import BASE, HEADERS, check, done, equal, model, must

http = httpx.Client(timeout=300, headers=HEADERS)
MODEL = model(http)
# The grammar makes the model write what takes several tokens a character.
EMOJI = "🐦🦜👩‍🚀🏳️‍🌈漢字é"
URL = f"{BASE}/v1/chat/completions"


def body(**more):
    """A request for a stream."""
    ask = [{"role": "user", "content": "Name a bird."}]
    return {"model": MODEL, "messages": ask, "max_tokens": 16, "stream": True, "stream_options": {"include_usage": True}, **more}


@check
def events():
    """each event is a JSON object of one line, and the last is [DONE]"""
    with connect_sse(http, "POST", URL, json=body()) as source:
        must(source.response.headers["content-type"].startswith("text/event-stream"), source.response.headers)
        must("no-cache" in source.response.headers.get("cache-control", ""), "cache-control")
        got = list(source.iter_sse())
    equal(got[-1].data, "[DONE]", "end")
    chunks = [json.loads(e.data) for e in got[:-1]]
    must(all(e.event == "message" and not e.id for e in got), "names or ids")
    must(all("usage" in c and c["usage"] is None for c in chunks[:-1]), "usage is null before the last chunk")
    equal((chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"] > 0), ([], True), "usage chunk")
    must(any("timings" in c for c in chunks), "timings")


@check
def raw():
    """lines: data, comments and empty lines only, LF, no byte order mark"""
    with http.stream("POST", URL, json=body()) as answer:
        data = b"".join(answer.iter_raw())
    must(not data.startswith(b"\xef\xbb\xbf") and b"\r" not in data, "BOM or CR")
    must(data.endswith(b"data: [DONE]\n\n"), data[-40:])
    for line in data.decode("utf-8").split("\n"):
        must(line == "" or line.startswith((":", "data: ")), line)
    return f"{data.count(b'data: ')} events, {sum(l.startswith(b':') for l in data.splitlines())} comments"


@check
def characters():
    """one character is never in two events: emoji, joined emoji, Chinese"""
    grammar = 'root ::= "' + EMOJI * 3 + '"'
    with connect_sse(http, "POST", URL, json=body(grammar=grammar, max_tokens=400)) as source:
        must(source.response.status_code == 200, source.response.read())
        pieces = []
        for event in source.iter_sse():
            if event.data != "[DONE]":
                pieces += [c["delta"].get("content") or "" for c in json.loads(event.data)["choices"]]
    equal("".join(pieces), EMOJI * 3, "text")
    must(not any("\ufffd" in p for p in pieces), pieces)
    return f"{len([p for p in pieces if p])} pieces"


def health(name):
    """A value of /metrics."""
    for line in http.get(f"{BASE}/metrics").text.splitlines():
        if line.startswith(name + " ") or line.startswith(name + "{"):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no {name} in /metrics")


@check
def gone():
    """a client that goes away frees its place at once"""
    where = urlparse(BASE)
    data = json.dumps(body(max_tokens=1500, messages=[{"role": "user", "content": "Tell a very long story."}], ignore_eos=True)).encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", f"Host: {where.netloc}", "Content-Type: application/json", f"Content-Length: {len(data)}"]
    lines += [f"{k}: {v}" for k, v in HEADERS.items()]
    peer = socket.create_connection((where.hostname, where.port or 80))
    peer.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
    seen = b""
    peer.settimeout(120)
    while len(re.findall(rb'"content": ?"', seen)) < 2:
        more = peer.recv(4096)
        must(more, seen)
        seen += more
    must(health("siskin_requests_processing") >= 1, "the request is not counted")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    start = time.monotonic()
    while health("siskin_requests_processing") > 0:
        must(time.monotonic() - start < 5, "still computed after 5 s")
    return f"after {(time.monotonic() - start) * 1000:.0f} ms"


@check
def kept():
    """a connection is used again after a stream and after an error"""
    with httpx.Client(limits=httpx.Limits(max_connections=1), timeout=300, headers=HEADERS) as one:
        for _ in range(2):
            one.post(URL, json=body(max_tokens=2)).raise_for_status()
            equal(one.post(URL, json={"model": MODEL, "messages": []}).status_code, 400, "error")
            equal(one.get(f"{BASE}/health").status_code, 200, "health")


done()
