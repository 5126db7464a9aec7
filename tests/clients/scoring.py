"""Log-likelihoods as lm-eval's local-completions asks for them: prompts as token ids, echo, logprobs=1, max_tokens 1 or 0."""

import math

import httpx

from common import BASE, HEADERS, check, done, equal, model, must

http = httpx.Client(timeout=300, headers=HEADERS)
MODEL = model(http)
TEXT = "Once upon a time there was a little bird that lived in a tree"


def post(route, body):
    """The JSON of an answer that must be 200."""
    answer = http.post(f"{BASE}{route}", json=body)
    must(answer.status_code == 200, f"{route}: {answer.status_code} {answer.text[:300]}")
    return answer.json()


def tokens_of(text, special=False):
    """Tokens, asked for as lm-eval does."""
    return post("/tokenize", {"prompt": text, "add_special_tokens": special})["tokens"]


def score(prompt, **more):
    """The choices of lm-eval's request."""
    body = {"model": MODEL, "prompt": prompt, "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True, **more}
    return sorted(post("/v1/completions", body)["choices"], key=lambda c: c["index"])


@check
def tokenizer():
    """/tokenizer_info, /tokenize and /detokenize have what lm-eval's remote tokenizer reads"""
    info = http.get(f"{BASE}/tokenizer_info").json()
    must(isinstance(info, dict) and "eos_token" in info, info)
    must(info["eos_token"] is None or isinstance(info["eos_token"], str), info["eos_token"])
    if info["eos_token"]:
        equal(len(tokens_of(info["eos_token"])), 1, "the end of a text is one token")
    back = post("/detokenize", {"tokens": tokens_of(TEXT)})
    must(isinstance(back.get("prompt"), str) and back["prompt"].strip() == TEXT, back)
    return str(info["eos_token"])


@check
def echo():
    """echo with logprobs: one entry a token, the first null, then the drawn one"""
    prompt = tokens_of(TEXT)
    choice = score([prompt])[0]
    logprobs = choice["logprobs"]
    for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
        equal(len(logprobs[name]), len(prompt) + 1, name)
    equal((logprobs["token_logprobs"][0], logprobs["top_logprobs"][0]), (None, None), "first")
    must(all(isinstance(v, float) and v <= 0 and math.isfinite(v) for v in logprobs["token_logprobs"][1:]), logprobs["token_logprobs"])
    equal("".join(logprobs["tokens"]), choice["text"], "text")
    offset = 0
    for token, at in zip(logprobs["tokens"], logprobs["text_offset"]):
        equal(at, offset, f"offset of {token!r}")
        offset += len(token)


@check
def greedy():
    """the best of top_logprobs is exactly the token's own if it is the likeliest"""
    first = tokens_of(TEXT)
    drawn = score([first])[0]["logprobs"]
    # lm-eval compares with ==, so both must be the same number.
    equal(drawn["token_logprobs"][-1], max(drawn["top_logprobs"][-1].values()), "the drawn token is the likeliest")
    for value, top in zip(drawn["token_logprobs"][1:], drawn["top_logprobs"][1:]):
        must(value <= max(top.values()), (value, top))


@check
def max_tokens():
    """max_tokens 0 scores the prompt and draws nothing"""
    prompt = tokens_of(TEXT)
    none, one = score([prompt], max_tokens=0)[0]["logprobs"], score([prompt])[0]["logprobs"]
    equal(len(none["token_logprobs"]), len(prompt), "entries")
    for a, b in zip(none["token_logprobs"][1:], one["token_logprobs"][1:]):
        must(abs(a - b) <= 1e-3, (a, b))


@check
def sums():
    """log P(a b) = log P(a) + log P(b after a), to 1e-3 a token; alone, in a batch, and cached"""
    prompt = tokens_of(TEXT)
    other = tokens_of("The answer is 42, she said, and laughed")
    whole = score([prompt])[0]["logprobs"]["token_logprobs"]
    for cut in (2, len(prompt) // 2, len(prompt) - 1):
        part = score([prompt[:cut]])[0]["logprobs"]["token_logprobs"]
        for a, b in zip(whole[1:cut], part[1:cut]):
            must(abs(a - b) <= 1e-3, (cut, a, b))
    batch = score([prompt, other, prompt])
    equal(len(batch), 3, "choices")
    for choice in (batch[0], batch[2]):
        for a, b in zip(whole[1:], choice["logprobs"]["token_logprobs"][1:]):
            must(abs(a - b) <= 1e-3, (a, b))
    return f"{sum(whole[1:-1]):.4f} for {len(prompt)} tokens"


@check
def as_text():
    """a prompt as text has the scores of its tokens"""
    prompt = tokens_of(TEXT, special=True)
    by_text = score(TEXT)[0]["logprobs"]["token_logprobs"]
    by_ids = score([prompt])[0]["logprobs"]["token_logprobs"]
    equal(len(by_text), len(by_ids), "entries")
    must(all(abs(a - b) <= 1e-3 for a, b in zip(by_text[1:], by_ids[1:])), (by_text, by_ids))


@check
def likely():
    """a sentence is likelier than its words in reverse"""
    def value(text):
        logprobs = score([tokens_of(text)], max_tokens=0)[0]["logprobs"]["token_logprobs"][1:]
        return sum(logprobs) / len(logprobs)

    good, bad = value(TEXT), value(" ".join(reversed(TEXT.split())))
    must(good > bad, (good, bad))
    return f"{good:.3f} and {bad:.3f} a token"


@check
def generate():
    """lm-eval's generate_until: stop strings, temperature 0, the same text twice"""
    body = {"model": MODEL, "prompt": [tokens_of(TEXT)], "max_tokens": 16, "temperature": 0, "stop": ["\n\n", "</s>"], "seed": 1234}
    equal(post("/v1/completions", body)["choices"][0]["text"], post("/v1/completions", body)["choices"][0]["text"], "text")


@check
def wrong_tokens():
    """a token id that the model does not have is 400"""
    for prompt in ([[10**9]], [[-1]], [[]]):
        answer = http.post(f"{BASE}/v1/completions", json={"model": MODEL, "prompt": prompt, "max_tokens": 1})
        equal(answer.status_code, 400, prompt)


done()
