"""The OpenAI client for Python, with what applications ask of it."""

import concurrent.futures
import json

import httpx
import jsonschema
import openai
from pydantic import BaseModel

from common import BASE, HEADERS, KEY, WEATHER, check, done, equal, model, must

print(f"openai {openai.__version__}")
client = openai.OpenAI(base_url=f"{BASE}/v1", api_key=KEY or "none", timeout=300, max_retries=0)
http = httpx.Client(timeout=300, headers=HEADERS)
MODEL = model(http)
ASK = [{"role": "user", "content": "Name a bird."}]
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather of a city", "parameters": WEATHER}}


def chat(**more):
    """A short chat."""
    return client.chat.completions.create(**{"model": MODEL, "messages": ASK, "max_tokens": 12, **more})


def refused(status, **more):
    """What the server says about a request that it must refuse."""
    try:
        chat(**more)
    except openai.APIStatusError as error:
        equal(error.status_code, status, "status")
        must(isinstance(error.body, dict) and error.body.get("message"), f"no message: {error.body}")
        return error
    raise AssertionError(f"accepted instead of {status}: {more}")


@check
def models():
    """models.list and models.retrieve"""
    must(MODEL in [m.id for m in client.models.list().data], "the model is listed")
    equal(client.models.retrieve(MODEL).id, MODEL, "id")


@check
def plain():
    """chat: an answer, its role, reason and usage"""
    answer = chat()
    equal(answer.object, "chat.completion", "object")
    equal(answer.choices[0].message.role, "assistant", "role")
    must(isinstance(answer.choices[0].message.content, str), answer.choices[0].message)
    must(answer.choices[0].finish_reason in ("stop", "length"), answer.choices[0])
    usage = answer.usage
    equal(usage.prompt_tokens + usage.completion_tokens, usage.total_tokens, "total")
    must(0 < usage.completion_tokens <= 12, usage)
    must(answer.id and answer.created and answer.model, answer)


@check
def cached():
    """chat: the second request with the same beginning reports cached tokens"""
    long = [{"role": "user", "content": "Remember these words: " + "bird tree sea " * 30}]
    chat(messages=long, max_tokens=1)
    details = chat(messages=long, max_tokens=1).usage.prompt_tokens_details
    must(details and details.cached_tokens > 20, details)


def chunks(**more):
    """The chunks of a stream."""
    return list(chat(stream=True, **more))


@check
def stream():
    """stream: role first, text, one reason, the same text as without"""
    got = chunks(temperature=0, seed=1)
    equal(got[0].choices[0].delta.role, "assistant", "first delta")
    must(all(c.object == "chat.completion.chunk" and c.id == got[0].id for c in got), "object and id")
    reasons = [c.choices[0].finish_reason for c in got if c.choices]
    must(reasons[-1] in ("stop", "length") and not any(reasons[:-1]), reasons)
    text = "".join(c.choices[0].delta.content or "" for c in got if c.choices)
    equal(text, chat(temperature=0, seed=1).choices[0].message.content, "text")
    must(not any(c.usage for c in got), "usage without being asked")


@check
def stream_usage():
    """stream: include_usage gives one more chunk, without choices"""
    got = chunks(stream_options={"include_usage": True})
    equal(got[-1].choices, [], "choices of the last chunk")
    must(got[-1].usage.total_tokens > 0, got[-1])
    must(not any(c.usage for c in got[:-1]), "usage in other chunks")


@check
def seeds():
    """seed: the same text again; others differ"""
    def texts(seed):
        return chat(seed=seed, temperature=1, max_tokens=24).choices[0].message.content

    equal(texts(7), texts(7), "seed 7")
    must(len({texts(n) for n in range(4)}) > 1, "four seeds, one text")


@check
def several():
    """n=2: two choices with their indices, also as a stream"""
    answer = chat(n=2, temperature=1, seed=3)
    equal(sorted(c.index for c in answer.choices), [0, 1], "indices")
    got = chunks(n=2, temperature=1, seed=3)
    for index in (0, 1):
        text = "".join(c.delta.content or "" for chunk in got for c in chunk.choices if c.index == index)
        equal(text, next(c for c in answer.choices if c.index == index).message.content, f"choice {index}")


@check
def stops():
    """stop: the text ends before the stop string"""
    free = chat(temperature=0, max_tokens=24).choices[0].message.content
    stop = free[len(free) // 2 :][:4]
    answer = chat(temperature=0, max_tokens=24, stop=[stop])
    equal(answer.choices[0].message.content, free[: free.index(stop)], "text")
    equal(answer.choices[0].finish_reason, "stop", "reason")


@check
def bias():
    """logit_bias: a token at -100 never comes, one at 100 always"""
    token = http.post(f"{BASE}/tokenize", json={"content": " bird"}).json()["tokens"][-1]
    answer = chat(temperature=0, max_tokens=4, logit_bias={str(token): 100}, logprobs=True)
    # At the end of a text, or as a piece of one: the same token each time.
    equal(len({t.token for t in answer.choices[0].logprobs.content}), 1, "tokens")


@check
def probabilities():
    """logprobs: one entry per token, sorted, with bytes"""
    answer = chat(logprobs=True, top_logprobs=3, temperature=0)
    content = answer.choices[0].logprobs.content
    must(content, "no logprobs")
    for entry in content:
        equal(len(entry.top_logprobs), 3, "top_logprobs")
        values = [t.logprob for t in entry.top_logprobs]
        equal(values, sorted(values, reverse=True), "order")
        must(entry.logprob <= 0 and abs(entry.logprob - values[0]) < 1e-6, entry)
        must(entry.bytes is not None, entry)
    text = b"".join(bytes(e.bytes) for e in content).decode("utf-8", "replace")
    must(answer.choices[0].message.content.strip() in text, (text, answer.choices[0].message.content))


def calls_of(message):
    """The calls of a message, checked. Small models like to call often."""
    must(message.tool_calls, message)
    for call in message.tool_calls:
        equal((call.function.name, bool(call.id)), ("weather", True), "name and id")
        jsonschema.validate(json.loads(call.function.arguments), WEATHER)
    equal(len({c.id for c in message.tool_calls}), len(message.tool_calls), "ids")
    return message.tool_calls


@check
def tool_named():
    """tools: a named function is called with valid arguments"""
    answer = chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "weather"}}, max_tokens=150)
    # OpenAI reports "stop" for a named function, "tool_calls" for the others.
    must(answer.choices[0].finish_reason in ("stop", "tool_calls", "length"), answer.choices[0])
    if answer.choices[0].finish_reason != "length":
        return f"{len(calls_of(answer.choices[0].message))} calls"
    return "length"


@check
def tool_required():
    """tools: required without parallel calls gives one, and the conversation goes on with its result"""
    answer = chat(tools=[TOOL], tool_choice="required", parallel_tool_calls=False, max_tokens=100).choices[0]
    equal(answer.finish_reason, "tool_calls", "reason")
    (call,) = calls_of(answer.message)
    after = ASK + [answer.message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "8 degrees"}]
    must(chat(messages=after, tools=[TOOL], tool_choice="none").choices[0].message.content is not None, "text")


@check
def tool_stream():
    """tools: as a stream, id and name first, the arguments in pieces, one call a delta"""
    calls, reason = {}, None
    for chunk in chunks(tools=[TOOL], tool_choice="required", max_tokens=150):
        for choice in chunk.choices:
            reason = choice.finish_reason or reason
            deltas = choice.delta.tool_calls or []
            must(len(deltas) <= 1, deltas)
            for delta in deltas:
                if delta.index not in calls:
                    equal(delta.index, len(calls), "index")
                    must(delta.id and delta.function.name == "weather", delta)
                    calls[delta.index] = ""
                else:
                    must(not delta.id and not delta.function.name, delta)
                calls[delta.index] += delta.function.arguments or ""
    must(calls, "no call")
    for arguments in list(calls.values())[: None if reason == "tool_calls" else -1]:
        jsonschema.validate(json.loads(arguments), WEATHER)
    return f"{len(calls)} calls, {reason}"


@check
def tool_auto():
    """tools: auto gives text or a valid call; none gives text"""
    choice = chat(tools=[TOOL], max_tokens=60).choices[0]
    if choice.message.tool_calls and choice.finish_reason == "tool_calls":
        calls_of(choice.message)
    none = chat(tools=[TOOL], tool_choice="none").choices[0]
    must(not none.message.tool_calls and none.message.content is not None, none)
    return "a call" if choice.message.tool_calls else "text"


class Bird(BaseModel):
    """What parse must give."""

    name: str
    flies: bool
    eggs: int


@check
def parsed():
    """parse: a strict json_schema becomes the object"""
    try:
        answer = client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Bird, max_tokens=200, temperature=0)
    except openai.LengthFinishReasonError:
        return "length: a string without an end is allowed"
    must(isinstance(answer.choices[0].message.parsed, Bird), answer)


@check
def schema():
    """response_format: json_schema with bounds, json_object"""
    form = {"type": "json_schema", "json_schema": {"name": "w", "strict": True, "schema": WEATHER}}
    jsonschema.validate(json.loads(chat(response_format=form, max_tokens=100).choices[0].message.content), WEATHER)
    answer = chat(response_format={"type": "json_object"}, max_tokens=150).choices[0]
    if answer.finish_reason == "stop":
        must(isinstance(json.loads(answer.message.content), dict), answer)
    return answer.finish_reason


@check
def schema_refused():
    """response_format: a schema that cannot be enforced is 400, not dropped"""
    bad = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"type": "string", "pattern": "(?=a)b"}}}
    refused(400, response_format=bad)


@check
def bad_requests():
    """errors: ranges and types are 400 and name the field"""
    for more, field in [
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"n": 1000}, "n"),
        ({"messages": []}, "messages"),
        ({"top_logprobs": 999, "logprobs": True}, "top_logprobs"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]}, "messages"),
    ]:
        error = refused(400, **more)
        must((error.body.get("param") or "").startswith(field), f"param of {more}: {error.body}")
        equal(error.body.get("type"), "invalid_request_error", "type")


@check
def too_long():
    """errors: a prompt that does not fit is 400 with numbers"""
    error = refused(400, messages=[{"role": "user", "content": "bird " * 60000}])
    must(error.body.get("n_prompt_tokens", 0) > error.body.get("n_ctx", 0) > 0, error.body)


@check
def not_found():
    """errors: another model is 404, another route too"""
    refused(404, model="no-such-model")
    equal(http.get(f"{BASE}/v1/nothing").status_code, 404, "route")
    equal(http.get(f"{BASE}/v1/chat/completions").status_code, 405, "method")


@check
def keys():
    """errors: a wrong key is 401 if there are keys"""
    wrong = openai.OpenAI(base_url=f"{BASE}/v1", api_key="wrong", max_retries=0)
    if not KEY:
        must(wrong.models.list().data, "any key is taken if there are none")
        return "no keys here"
    for ask in (wrong.models.list, lambda: wrong.chat.completions.create(model=MODEL, messages=ASK, max_tokens=1)):
        try:
            ask()
        except openai.AuthenticationError as error:
            must("www-authenticate" in error.response.headers, error.response.headers)
        else:
            raise AssertionError("accepted")
    return None


@check
def legacy():
    """completions: text, echo, a list of prompts, a stream"""
    answer = client.completions.create(model=MODEL, prompt="Once upon", max_tokens=5, echo=True, temperature=0)
    must(answer.choices[0].text.startswith("Once upon"), answer.choices[0].text)
    two = client.completions.create(model=MODEL, prompt=["One", "Two"], max_tokens=3)
    equal([c.index for c in two.choices], [0, 1], "indices")
    text = "".join(c.choices[0].text for c in client.completions.create(model=MODEL, prompt="Once upon", max_tokens=5, temperature=0, stream=True) if c.choices)
    equal("Once upon" + text, answer.choices[0].text, "stream")


@check
def embeddings():
    """embeddings: a vector each, in base64 (the client's own choice) and as numbers"""
    for form in ({}, {"encoding_format": "float"}):
        got = client.embeddings.create(model=MODEL, input=["a bird", "a tree", "a bird"], **form)
        equal([d.index for d in got.data], [0, 1, 2], "indices")
        must(len(got.data[0].embedding) >= 32, len(got.data[0].embedding))
        dot = sum(a * b for a, b in zip(got.data[0].embedding, got.data[2].embedding))
        must(abs(dot - 1) < 1e-3, f"the same text twice: {dot}")
        must(got.usage.prompt_tokens > 0, got.usage)


@check
def responses():
    """responses: text, usage, a stream with its events, a function"""
    answer = client.responses.create(model=MODEL, input="Name a bird.", max_output_tokens=16, temperature=0)
    must(answer.output_text and answer.usage.output_tokens > 0, answer)
    must(answer.status in ("completed", "incomplete"), answer.status)
    kinds, text = [], ""
    for event in client.responses.create(model=MODEL, input=[{"role": "user", "content": "Name a bird."}], max_output_tokens=16, temperature=0, stream=True):
        kinds.append(event.type)
        text += event.delta if event.type == "response.output_text.delta" else ""
    equal(kinds[0], "response.created", "first event")
    must(kinds[-1] in ("response.completed", "response.incomplete"), kinds[-1])
    equal(text, answer.output_text, "text")
    tool = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": True}
    calls = [o for o in client.responses.create(model=MODEL, input="Oslo?", tools=[tool], tool_choice="required", max_output_tokens=100).output if o.type == "function_call"]
    jsonschema.validate(json.loads(calls[0].arguments), WEATHER)


@check
def many():
    """16 at once: each is answered, or refused with Retry-After"""
    def one(number):
        try:
            with chat(stream=True, max_tokens=200, messages=[{"role": "user", "content": f"Story {number}"}]) as got:
                next(iter(got))
            return "answered"
        except openai.APIStatusError as error:
            must(error.status_code in (429, 503), error)
            must(float(error.response.headers["retry-after"]) > 0, error.response.headers)
            return "refused"

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(pool.map(one, range(16)))
    return f"{results.count('answered')} answered, {results.count('refused')} refused"


@check
def retries():
    """16 at once with the client's own retries: all are answered"""
    patient = client.with_options(max_retries=5)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: patient.chat.completions.create(model=MODEL, messages=ASK, max_tokens=8, seed=n), range(16)))


done()
