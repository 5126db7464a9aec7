#!/usr/bin/env python3
"""Answers of `siskin serve` to schemas made by chance, validated by Python's jsonschema (figure A20).

    python3 -m venv /tmp/schemas && /tmp/schemas/bin/pip install 'jsonschema[format]'
    /tmp/schemas/bin/python scripts/serve-schemas.py --siskin PROGRAM MODEL[:SCHEMAS] ... [--tokens 64] [--speed 5]

SCHEMAS is how many are asked of this model (500); without any MODEL it is the embedded storyteller. The schemas are those of
grammar/tests/data/oracle.py, in its order. Four are asked at once, at temperature 1, with a seed each. Every answer that ends with
`stop` must be JSON that validates; one that ends with `length` was cut at --tokens. A refused schema is 400 with words.
--speed N then compares, N times in turns, tokens a second of one stream with a schema and without.
Prints one Markdown table; fails if an answer is not valid, or has another status than 200 and 400. Models with random weights
rarely close a string, so many of their answers are cut: texts are then short of proof, not wrong.
"""
import argparse
import collections
import json
import os
import random
import statistics
import sys
import threading
import time

sys.path.append(os.path.join(os.path.dirname(__file__), "../grammar/tests/data"))
import oracle  # noqa: E402 pylint: disable=wrong-import-position
from serve_bench.servers import Server  # noqa: E402 pylint: disable=wrong-import-position

LONG = {"type": "array", "minItems": 60, "maxItems": 60, "items": {
    "type": "object", "additionalProperties": False, "required": ["name", "count"], "properties": {
        "name": {"type": "string", "maxLength": 12}, "count": {"type": "integer"}}}}


def completion(server, tokens, schema=None, **fields):
    request = {"prompt": "Write JSON: ", "max_tokens": tokens, **fields}
    if schema is not None:
        request["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    status, text = server.post("/v1/completions", request)
    return status, json.loads(text)


def problem(schema, text):
    """Why a text does not have a schema's form; None if it has."""
    validator = oracle.Draft202012Validator(schema, format_checker=oracle.Draft202012Validator.FORMAT_CHECKER)
    try:
        return next((error.message for error in validator.iter_errors(json.loads(text))), None)
    except ValueError as error:
        return f"no JSON: {error}"
    except RecursionError:
        # A reference to itself without anything between; jsonschema does not come back from it.
        return None


def ask_all(server, schemas, tokens):
    """Counts of what became of the schemas, and lines about what is wrong."""
    counts, wrong, refused = collections.Counter(), [], collections.Counter()
    rest, lock = list(enumerate(schemas)), threading.Lock()

    def client():
        while True:
            with lock:
                if not rest:
                    return
                seed, schema = rest.pop(0)
            try:
                status, answer = completion(server, tokens, schema, temperature=1, seed=seed)
            except Exception as error:  # pylint: disable=broad-except
                status, answer = repr(error), {}
            with lock:
                if status == 400:
                    counts["refused"] += 1
                    refused[answer["error"]["message"][:110]] += 1
                elif status != 200:
                    counts["failed"] += 1
                    wrong.append(f"{status} for {json.dumps(schema)}: {answer}")
                elif answer["choices"][0]["finish_reason"] == "length":
                    counts["cut"] += 1
                else:
                    why = problem(schema, answer["choices"][0]["text"])
                    counts["invalid" if why else "valid"] += 1
                    if why:
                        wrong.append(f"{why[:200]}: {answer['choices'][0]['text']!r} for {json.dumps(schema)}")

    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    return counts, wrong, refused


def speed(server, rounds):
    """Tokens a second with a schema, in parts of those without: the median of the rounds, least, and most."""
    parts = []
    for seed in range(rounds):
        rates = []
        for schema in (None, LONG) if seed % 2 else (LONG, None):
            status, answer = completion(server, 96, schema, temperature=1, seed=seed, **({} if schema else {"ignore_eos": True}))
            assert status == 200, answer
            rates.append(answer["timings"]["predicted_per_second"])
        free, formed = rates if seed % 2 else rates[::-1]
        parts.append(100 * formed / free)
    return f"{statistics.median(parts):.0f} % ({min(parts):.0f}–{max(parts):.0f})" if parts else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=[""])
    parser.add_argument("--siskin", default="target/release/siskin")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--speed", type=int, default=0, help="rounds of one stream with and without a schema")
    args = parser.parse_args()
    rng = random.Random(1)
    schemas = [oracle.make(rng) for _ in range(500)]
    print("| model | schemas | valid | cut | refused | invalid | failed | speed with a schema | seconds |\n"
          "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    lines, reasons = [], collections.Counter()
    for model in args.models:
        path, _, count = model.partition(":")
        some, start = schemas[:int(count or 500)], time.monotonic()
        with Server("siskin", args.siskin, path, 4, 2048 if path else 0) as server:
            counts, wrong, refused = ask_all(server, some, args.tokens)
            part = speed(server, args.speed)
        name = os.path.basename(path) or "storyteller"
        print(f"| {name} | {len(some)} | " + " | ".join(str(counts[key]) for key in ("valid", "cut", "refused", "invalid", "failed"))
              + f" | {part} | {time.monotonic() - start:.0f} |", flush=True)
        lines += [f"{name}: {line}" for line in wrong]
        reasons.update(refused)
    print("\nRefused:" if reasons else "")
    for reason, times in reasons.most_common():
        print(f"- {times} × {reason}")
    print("\n".join(lines[:50]))
    sys.exit(bool(lines))


main()
