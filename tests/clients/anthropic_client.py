"""Anthropic's client for Python: messages, its stream of events, count_tokens, tools."""

import os

import anthropic
import httpx
import jsonschema

from common import BASE, HEADERS, KEY, WEATHER, check, done, equal, model, must

client = anthropic.Anthropic(base_url=BASE, api_key=KEY or "none", timeout=300, max_retries=0)
MODEL = os.environ.get("MODEL") or model(httpx.Client(headers=HEADERS))
ASK = [{"role": "user", "content": "Name a bird."}]
TOOL = {"name": "weather", "description": "The weather of a city", "input_schema": WEATHER}


def create(**more):
    """A short message."""
    # The client no longer has temperature among its arguments; the API has.
    return client.messages.create(**{"model": MODEL, "messages": ASK, "max_tokens": 12, "extra_body": {"temperature": 0}, **more})


@check
def plain():
    """messages: text, reason and usage"""
    got = create(system="You answer in a word.")
    equal((got.type, got.role), ("message", "assistant"), "kind")
    must(got.content[0].type == "text" and got.content[0].text, got)
    must(got.stop_reason in ("end_turn", "max_tokens"), got.stop_reason)
    must(got.usage.input_tokens > 0 and 0 < got.usage.output_tokens <= 12, got.usage)


@check
def parts():
    """messages: content and system as lists of text parts"""
    part = {"type": "text", "text": "Name a bird."}
    must(create(messages=[{"role": "user", "content": [part]}], system=[part]).content, "no content")


@check
def stream():
    """messages: the stream has its events in order, and the same text"""
    kinds, text = [], ""
    for event in create(stream=True):
        kinds.append(event.type)
        if event.type == "content_block_delta":
            text += event.delta.text
    equal([k for n, k in enumerate(kinds) if k != "content_block_delta" and k != "ping" or n == 0],
          ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"], "events")
    equal(text, create().content[0].text, "text")
    with client.messages.stream(model=MODEL, messages=ASK, max_tokens=12) as helper:
        equal("".join(helper.text_stream), helper.get_final_message().content[0].text, "helper")


@check
def stop():
    """messages: a stop sequence ends the text and is named"""
    free = create(max_tokens=24).content[0].text
    mark = free[len(free) // 2 :][:4]
    got = create(max_tokens=24, stop_sequences=[mark])
    equal((got.stop_reason, got.stop_sequence), ("stop_sequence", mark), "reason")


@check
def count():
    """count_tokens: what messages reports"""
    usage = create().usage
    # What the cache had is counted apart.
    told = usage.input_tokens + (usage.cache_read_input_tokens or 0)
    equal(client.messages.count_tokens(model=MODEL, messages=ASK).input_tokens, told, "tokens")


@check
def tools():
    """tools: a named one is called with a valid input, and the result can be sent back"""
    for choice in ({"type": "tool", "name": "weather"}, {"type": "any"}):
        got = create(tools=[TOOL], tool_choice=choice, max_tokens=100)
        use = next(b for b in got.content if b.type == "tool_use")
        jsonschema.validate(use.input, WEATHER)
        equal((use.name, got.stop_reason), ("weather", "tool_use"), "call")
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "8 degrees"}
    after = ASK + [{"role": "assistant", "content": [use.model_dump(exclude_none=True)]}, {"role": "user", "content": [result]}]
    must(create(messages=after, tools=[TOOL], tool_choice={"type": "none"}).content, "no content")


@check
def tool_stream():
    """tools: as a stream, the input in pieces of JSON"""
    with client.messages.stream(model=MODEL, messages=ASK, max_tokens=100, tools=[TOOL], tool_choice={"type": "any"}) as got:
        final = got.get_final_message()
    jsonschema.validate(next(b for b in final.content if b.type == "tool_use").input, WEATHER)


@check
def errors():
    """errors: Anthropic's form, 400 and 404; 401 for a wrong key if there are keys"""
    for kind, more in [(anthropic.BadRequestError, {"max_tokens": 0}), (anthropic.NotFoundError, {"model": "no-such-model"})]:
        try:
            create(**more)
        except kind as error:
            must(error.body["type"] == "error" and error.body["error"]["message"] and error.body["error"]["type"], error.body)
        else:
            raise AssertionError(f"accepted: {more}")
    if KEY:
        try:
            client.with_options(api_key="wrong").messages.create(model=MODEL, messages=ASK, max_tokens=1)
        except anthropic.AuthenticationError:
            return
        raise AssertionError("a wrong key was accepted")


done()
