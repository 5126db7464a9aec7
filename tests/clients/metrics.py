"""/metrics, read by Prometheus' own parser; /health and the other small routes."""

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

from common import BASE, HEADERS, check, done, equal, model, must

http = httpx.Client(timeout=300, headers=HEADERS)
MODEL = model(http)
# llama-server's meanings, which dashboards know.
KNOWN = [
    "prompt_tokens_total", "prompt_tokens_cached_total", "prompt_seconds_total", "tokens_predicted_total", "tokens_predicted_seconds_total",
    "prompt_tokens_seconds", "predicted_tokens_seconds", "requests_processing", "requests_deferred", "n_tokens_max", "n_decode_total",
    "n_busy_slots_per_decode",
]


def samples():
    """All samples by name, checked on the way."""
    answer = http.get(f"{BASE}/metrics")
    equal(answer.status_code, 200, "status")
    families = list((openmetrics if "openmetrics" in answer.headers["content-type"] else classic)(answer.text))
    must(all(f.documentation and f.type != "unknown" for f in families), [f.name for f in families if not f.documentation or f.type == "unknown"])
    got = {}
    for sample in (s for f in families for s in f.samples):
        key = (sample.name, tuple(sorted(sample.labels.items())))
        must(key not in got, f"twice: {key}")
        got[key] = sample.value
    return got


@check
def format_of_text():
    """the format, with a HELP and a TYPE for each"""
    answer = http.get(f"{BASE}/metrics")
    must(answer.headers["content-type"].startswith(("text/plain", "application/openmetrics-text")), answer.headers["content-type"])
    names = {name for name, _ in samples()}
    must(all(n.startswith(("siskin_", "process_")) for n in names), sorted(names))
    return f"{len(names)} names"


@check
def names():
    """the names that dashboards for llama-server know, as siskin_*"""
    have = {name for name, _ in samples()}
    missing = [n for n in KNOWN if "siskin_" + n not in have]
    must(not missing, missing)


@check
def counted():
    """a request is counted: prompt, tokens, seconds"""
    def total(name):
        return sum(v for (n, _), v in samples().items() if n == "siskin_" + name)

    before = {n: total(n) for n in ("tokens_predicted_total", "prompt_tokens_total", "prompt_tokens_cached_total", "tokens_predicted_seconds_total")}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Count me."}], "max_tokens": 5}
    usage = http.post(f"{BASE}/v1/chat/completions", json=body).json()["usage"]
    grew = {n: total(n) - v for n, v in before.items()}
    equal(grew["tokens_predicted_total"], usage["completion_tokens"], "tokens")
    equal(grew["prompt_tokens_total"] + grew["prompt_tokens_cached_total"], usage["prompt_tokens"], "prompt, computed and cached")
    must(grew["tokens_predicted_seconds_total"] >= 0, grew)


@check
def small():
    """health, livez, readyz, props, slots, tokenize, detokenize, apply-template"""
    for route in ("health", "v1/health", "livez", "readyz"):
        equal(http.get(f"{BASE}/{route}").status_code, 200, route)
    equal(http.get(f"{BASE}/health").json(), {"status": "ok"}, "health")
    must(http.get(f"{BASE}/props").json()["default_generation_settings"]["n_ctx"] > 0, "n_ctx")
    slots = http.get(f"{BASE}/slots")
    must(isinstance(slots.json(), list) and "Count me" not in slots.text, "a prompt in /slots")
    text = "Ein Vogel: 🐦 and  spaces\n"
    tokens = http.post(f"{BASE}/tokenize", json={"content": text, "add_special": False}).json()["tokens"]
    equal(http.post(f"{BASE}/detokenize", json={"tokens": tokens}).json()["content"].lstrip(), text, "there and back")
    pieces = http.post(f"{BASE}/tokenize", json={"content": "bird", "with_pieces": True}).json()["tokens"]
    must(all("id" in p and "piece" in p for p in pieces), pieces)
    prompt = http.post(f"{BASE}/apply-template", json={"messages": [{"role": "user", "content": "Count me."}]})
    must("Count me." in prompt.json()["prompt"], prompt.text)


@check
def hosts():
    """a strange Host or Origin is 403, also without a body"""
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        equal(http.get(f"{BASE}/v1/models", headers=headers).status_code, 403, headers)
        equal(http.post(f"{BASE}/v1/chat/completions", headers=headers, content=b"{}").status_code, 403, headers)
    form = http.post(f"{BASE}/v1/chat/completions", headers={"Content-Type": "text/plain", "Origin": BASE}, content=b"{}")
    equal(form.status_code, 415, "text/plain of a page")


done()
