"""ollama's client for Python, with what Home Assistant and chat pages ask of it."""

import json

import httpx
import jsonschema
import ollama

from common import BASE, HEADERS, WEATHER, check, done, equal, model, must

client = ollama.Client(host=BASE, headers=HEADERS, timeout=300)
http = httpx.Client(timeout=300, headers=HEADERS)
MODEL = model(http)
ASK = [{"role": "user", "content": "Name a bird."}]
SHORT = {"num_predict": 12, "temperature": 0, "seed": 1}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather of a city", "parameters": WEATHER}}


def error_of(status, function):
    """The error that a call must give."""
    try:
        function()
    except ollama.ResponseError as error:
        equal(error.status_code, status, "status")
        must(error.error and not error.error.startswith("{"), f"plain words instead of: {error.error}")
        return error.error
    raise AssertionError(f"accepted instead of {status}")


@check
def version():
    """version: a number that clients can compare"""
    text = http.get(f"{BASE}/api/version").json()["version"]
    must(all(part.isdigit() for part in text.split("-")[0].split(".")[:2]), text)
    return text


@check
def tags():
    """tags: the models, with size, family, quantization and time"""
    entry = next(m for m in client.list().models if m.model in (MODEL, f"{MODEL}:latest"))
    must(entry.size and entry.modified_at and entry.details.family and entry.details.quantization_level, entry)
    must(entry.details.format == "gguf", entry.details)


@check
def show():
    """show: details, capabilities, model_info"""
    got = client.show(MODEL)
    must("completion" in (got.capabilities or []), got.capabilities)
    must(got.modelinfo and got.modelinfo.get("general.architecture"), got.modelinfo)
    must(got.details.family, got.details)
    error_of(404, lambda: client.show("no-such-model"))
    return ", ".join(got.capabilities)


@check
def chat():
    """chat: an answer with its durations and counts"""
    got = client.chat(MODEL, ASK, options=SHORT)
    equal((got.done, got.message.role), (True, "assistant"), "end")
    must(got.done_reason in ("stop", "length"), got.done_reason)
    must(got.message.content and got.eval_count and got.prompt_eval_count is not None, got)
    must(got.total_duration and got.eval_duration and got.total_duration >= got.eval_duration, got)


@check
def ps():
    """ps: the loaded model with its size and when it is unloaded"""
    entry = client.ps().models[0]
    must(entry.model and entry.size and entry.expires_at, entry)


@check
def chat_stream():
    """chat: as a stream, the same text; only the last has done"""
    parts = list(client.chat(MODEL, ASK, options=SHORT, stream=True))
    equal([p.done for p in parts], [False] * (len(parts) - 1) + [True], "done")
    text = "".join(p.message.content or "" for p in parts)
    equal(text, client.chat(MODEL, ASK, options=SHORT).message.content, "text")
    must(parts[-1].done_reason and parts[-1].eval_count, parts[-1])


@check
def default_stream():
    """chat: a request without "stream" is a stream of lines"""
    with http.stream("POST", f"{BASE}/api/chat", json={"model": MODEL, "messages": ASK, "options": SHORT}) as answer:
        must(answer.headers["content-type"].startswith("application/x-ndjson"), answer.headers["content-type"])
        lines = [json.loads(line) for line in answer.iter_lines() if line]
    must(len(lines) > 1 and lines[-1]["done"], lines[-1])


@check
def generate():
    """generate: with a template, raw, as a stream; an empty prompt loads the model"""
    got = client.generate(MODEL, "Name a bird.", options=SHORT)
    must(got.done and got.response and got.eval_count, got)
    raw = client.generate(MODEL, "Once upon", raw=True, options=SHORT)
    text = "".join(p.response for p in client.generate(MODEL, "Once upon", raw=True, options=SHORT, stream=True))
    equal(text, raw.response, "stream")
    loaded = client.generate(MODEL, "")
    equal((loaded.done, loaded.done_reason), (True, "load"), "load")


@check
def json_format():
    """format: json gives an object, a schema gives what it says"""
    got = client.chat(MODEL, ASK, format=WEATHER, options={"num_predict": 100, "temperature": 0})
    jsonschema.validate(json.loads(got.message.content), WEATHER)
    got = client.chat(MODEL, ASK, format="json", options={"num_predict": 150, "temperature": 0})
    if got.done_reason == "stop":
        must(isinstance(json.loads(got.message.content), dict), got.message.content)
    error_of(400, lambda: client.chat(MODEL, ASK, format={"type": "string", "pattern": "(?=a)b"}))


@check
def tools():
    """tools: text, or a call with its arguments as an object; its result can be sent back"""
    got = client.chat(MODEL, ASK, tools=[TOOL], options={"num_predict": 80, "temperature": 0})
    calls = got.message.tool_calls or []
    for call in calls:
        equal(call.function.name, "weather", "name")
        jsonschema.validate(dict(call.function.arguments), WEATHER)
    call = {"function": {"name": "weather", "arguments": {"city": "Oslo", "days": 1}}}
    after = ASK + [{"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "content": '{"data": "8 degrees"}'}]
    must(client.chat(MODEL, after, tools=[TOOL], options=SHORT).done, "no end")
    return f"{len(calls)} calls"


@check
def embed():
    """embed: one text and several, of length one; the old route too"""
    one, two = client.embed(MODEL, "a bird"), client.embed(MODEL, ["a bird", "a tree"])
    equal((len(one.embeddings), len(two.embeddings)), (1, 2), "vectors")
    must(abs(sum(x * x for x in one.embeddings[0]) - 1) < 1e-3, "length")
    must(len(client.embeddings(MODEL, "a bird").embedding) == len(one.embeddings[0]), "old route")


@check
def keep_alive():
    """keep_alive: -1, 0, numbers and durations are taken"""
    for value in (-1, "300s", "5m", "1h30m", 60):
        must(client.chat(MODEL, ASK, options={"num_predict": 1}, keep_alive=value).done, value)
    must(http.post(f"{BASE}/api/chat", json={"model": MODEL, "messages": ASK, "keep_alive": "soon"}).status_code == 400, "soon")


@check
def options():
    """options: what changes nothing is taken, also a context of another size, as Home Assistant sends it"""
    more = {"repeat_penalty": 1.1, "top_k": 40, "top_p": 0.9, "min_p": 0.05, "stop": ["\n\n\n"], "num_thread": 2, "num_gpu": 0, **SHORT}
    must(client.chat(MODEL, ASK, options=more).done, "no end")
    must(client.chat(MODEL, ASK, options={"num_ctx": 256, **SHORT}).done, "a smaller context")
    must(client.chat(MODEL, ASK, options={"num_ctx": 10_000_000, **SHORT}).done, "a larger context")


@check
def refused():
    """errors: what downloads or deletes is 501 with a hint, another model 404"""
    for route, name in [("pull", "POST"), ("push", "POST"), ("create", "POST"), ("copy", "POST"), ("delete", "DELETE")]:
        got = http.request(name, f"{BASE}/api/{route}", json={"model": "x"})
        equal(got.status_code, 501, route)
        must(isinstance(got.json()["error"], str), got.text)
    error_of(404, lambda: client.chat("no-such-model", ASK))


done()
