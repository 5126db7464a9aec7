"""Requests of every sort, for the scripts that watch a service for long."""
import http.client
import json

WORDS = "the little bird king house tree water stone red small old new day night went saw said".split()


def text(rng, least, most):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(least, most)))


def request(rng):
    """A path, a body, how many bytes of the answer are read before the client leaves (None for all), statuses that are right."""
    few = {"max_tokens": rng.randint(1, 24), "temperature": rng.choice([0, 1.0]), "seed": rng.randint(0, 99)}
    message = [{"role": "user", "content": text(rng, 1, 40)}]
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["a"],
              "additionalProperties": False}
    # Only the one that is chosen is made: a long text takes the client longer than the service.
    kinds = [
        lambda: ("/v1/chat/completions", {"messages": message, **few}, None, {200, 503}),
        lambda: ("/v1/chat/completions", {"messages": message, "stream": True, **few}, None, {200, 503}),
        lambda: ("/v1/chat/completions", {"messages": message, "stream": True, "max_tokens": 200}, rng.randint(1, 2000), {200, 503}),
        lambda: ("/v1/chat/completions", {"messages": message, "n": 2, "logprobs": True, "top_logprobs": 2, **few}, None, {200, 503}),
        lambda: ("/v1/chat/completions", {"messages": message, "max_tokens": 40, "response_format":
         {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}}, None, {200, 503}),
        lambda: ("/v1/completions", {"prompt": text(rng, 1, 30), "echo": True, "logprobs": 1, "max_tokens": 0}, None, {200, 503}),
        lambda: ("/v1/completions", {"prompt": text(rng, 1, 30), "stop": ["the"], "logit_bias": {"5": -100}, **few}, None, {200, 503}),
        lambda: ("/v1/embeddings", {"input": text(rng, 1, 30)}, None, {200, 503}),
        lambda: ("/api/chat", {"model": "", "messages": message, "options": {"num_predict": 5}}, None, {200, 503}),
        lambda: ("/v1/messages", {"model": "", "messages": message, "max_tokens": 5}, None, {200, 503}),
        lambda: ("/tokenize", {"content": text(rng, 1, 200)}, None, {200}),
        lambda: ("/v1/chat/completions", {"messages": [{"role": "user", "content": text(rng, 9000, 9000)}]}, None, {400}),
        lambda: ("/v1/chat/completions", {"messages": message, "temperature": -1}, None, {400}),
        lambda: ("/v1/chat/completions", {"messages": message, "response_format": {"type": "json_schema", "json_schema": {
            "schema": {"not": {}}}}}, None, {400}),
        lambda: ("/v1/nothing", {}, None, {404}),
    ]
    return rng.choice(kinds)()


def send(port, path, body, cut):
    """Sends a request, and reads the answer, or so many bytes of it; its status and the first 300 bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read(cut)[:300]
    finally:
        connection.close()
