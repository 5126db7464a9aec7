"""What Home Assistant (2026.11, integrations llama_cpp and ollama) does, replayed with the clients that it uses."""

import asyncio
import json
import time

import jsonschema
import ollama
import openai

from common import BASE, HEADERS, KEY, check, done, equal, must

# The schema of its tools and answers is of OpenAPI 3.1.
LIGHT = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "area": {"type": ["string", "null"]},
        "brightness": {"type": "integer", "minimum": 0, "maximum": 100},
        "domain": {"type": "array", "items": {"type": "string", "enum": ["light", "switch"]}},
    },
    "required": [],
}
TOOLS = [{"type": "function", "function": {"name": name, "description": words, "parameters": form}} for name, words, form in [
    ("HassTurnOn", "Turns on a device", LIGHT),
    ("HassTurnOff", "Turns off a device", LIGHT),
    ("GetLiveContext", "State of the home", {"type": "object", "properties": {}}),
]]
HOME = "You are a voice assistant for Home Assistant.\nAnswer in plain text.\n" + "\n".join(
    f"- names: Lamp {n}\n  domain: light\n  areas: Room {n % 5}" for n in range(20))
TALK = [{"role": "system", "content": HOME}, {"role": "user", "content": "Turn on lamp 3."}]


def client():
    """As the integration makes it; retries are the library's own."""
    return openai.AsyncOpenAI(base_url=f"{BASE}/v1", api_key=KEY or "sk-0000000000000000000")


def run(function):
    """A check that is asynchronous."""
    def outer():
        return asyncio.run(function())

    outer.__doc__ = function.__doc__
    return check(outer)


async def name(api):
    """The first model, as the form proposes it."""
    return [m.id async for m in await api.with_options(timeout=10.0).models.list()][0]


@run
async def models():
    """the list of models comes within ten seconds"""
    start = time.monotonic()
    must(await name(client()), "no model")
    must(time.monotonic() - start < 10, "too late")


@run
async def validation():
    """the form's test: a tool without arguments, three tokens, plain and as a stream"""
    api = client()
    ask = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "What is the capital of France?"}]
    tool = {"type": "function", "function": {"name": "test_function", "description": "Test function.", "parameters": {"type": "object", "properties": {}}}}
    for stream in (False, True):
        got = await api.chat.completions.create(model=await name(api), messages=ask, tools=[tool], max_tokens=3, stream=stream)
        if stream:
            async for _ in got:
                pass


async def turn(api, messages, stream, **more):
    """One request of a conversation: text, calls; a stream is left at its finish_reason."""
    # 3000 is the integration's own value: more than small contexts have left.
    got = await api.chat.completions.create(**{
        "model": await name(api), "messages": messages, "max_tokens": 3000, "top_p": 1.0, "temperature": 0.7,
        "user": "01JDCONVERSATION", "stream": stream, **more})
    if not stream:
        message = got.choices[0].message
        return message.content, [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or []]
    text, calls = "", []
    async for chunk in got:
        if not chunk.choices:
            continue
        choice = chunk.choices[0]
        if choice.finish_reason:
            break
        text += choice.delta.content or ""
        if choice.delta.tool_calls and choice.delta.tool_calls[0].function:
            piece = choice.delta.tool_calls[0]
            if calls and calls[-1][3] == piece.index:
                calls[-1][2] += piece.function.arguments or ""
            else:
                calls.append([piece.id, piece.function.name, piece.function.arguments or "", piece.index])
    await got.close()
    return text, [(c[0], c[1], c[2]) for c in calls]


def valid(calls):
    """Each call is one of the tools, with arguments that fit."""
    for identity, tool, arguments in calls:
        form = next(t["function"]["parameters"] for t in TOOLS if t["function"]["name"] == tool)
        must(identity, "a call without an id")
        jsonschema.validate(json.loads(arguments or "{}"), form)


@run
async def talk():
    """a turn with tools and `user`, with the integration's own max_tokens; its result is sent back"""
    api = client()
    notes = []
    for stream in (True, False):
        text, calls = await turn(api, TALK, stream, tools=TOOLS)
        valid(calls)
        notes.append(f"{len(calls)} calls" if calls else f"{len(text or '')} characters")
    call = {"id": "call_1", "type": "function", "function": {"name": "HassTurnOn", "arguments": '{"name": "Lamp 3"}'}}
    after = TALK + [{"role": "assistant", "content": None, "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "call_1", "content": '{"data": {"success": true}, "error": null}'}]
    _, calls = await turn(api, after, True, tools=TOOLS)
    valid(calls)
    return ", ".join(notes)


@run
async def again():
    """the next turn of a conversation has the prompt in the cache"""
    api = client()
    first = await api.chat.completions.create(model=await name(api), messages=TALK, tools=TOOLS, user="01JDOTHER", max_tokens=5)
    more = TALK + [{"role": "assistant", "content": first.choices[0].message.content or "Yes."}, {"role": "user", "content": "And lamp 4."}]
    second = await api.chat.completions.create(model=await name(api), messages=more, tools=TOOLS, user="01JDOTHER", max_tokens=5)
    cached = second.usage.prompt_tokens_details.cached_tokens
    must(cached > 0.8 * first.usage.prompt_tokens, f"{cached} of {first.usage.prompt_tokens} tokens were cached")
    return f"{cached} of {second.usage.prompt_tokens}"


@run
async def task():
    """an AI task: a strict json_schema"""
    form = {"type": "object", "properties": {"title": {"type": "string", "maxLength": 40}, "count": {"type": "integer"}}, "required": ["title", "count"]}
    text, _ = await turn(client(), [{"role": "user", "content": "Count the lamps."}], True, max_tokens=150, temperature=0,
                         response_format={"type": "json_schema", "json_schema": {"name": "task", "strict": True, "schema": form}})
    jsonschema.validate(json.loads(text), form)


@run
async def leaves():
    """ten streams left at their first text do no harm"""
    api = client()
    for _ in range(10):
        got = await api.chat.completions.create(model=await name(api), messages=TALK, stream=True, max_tokens=500)
        async for chunk in got:
            if chunk.choices and chunk.choices[0].delta.content:
                break
        await got.close()
    start = time.monotonic()
    await api.chat.completions.create(model=await name(api), messages=TALK, max_tokens=1)
    must(time.monotonic() - start < 10, "slow afterwards")


@run
async def by_ollama():
    """the ollama integration: keep_alive -1, think False, its own num_ctx of 8192, tools as a stream"""
    api = ollama.AsyncClient(host=BASE, headers=HEADERS, timeout=300)
    model = (await api.list()).models[0].model
    calls = text = None
    async for part in await api.chat(model, TALK, tools=TOOLS, stream=True, keep_alive=-1, think=False, options={"num_ctx": 8192, "num_predict": 80}):
        text = (text or "") + (part.message.content or "")
        calls = part.message.tool_calls or calls
    equal(bool(text or calls), True, "an answer")


done()
