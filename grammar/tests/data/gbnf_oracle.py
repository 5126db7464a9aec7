"""Compares grammars in GBNF with Python's `re`, an independent reader of the same languages.

    cargo build --release -p siskin-grammar --example oracle
    python grammar/tests/data/gbnf_oracle.py target/release/examples/oracle [GRAMMARS] [SEED]

Grammars are made by chance, each once as it is and once with a recursion that adds nothing but what it begins with: the
first is one regular expression for siskin, the second is not. Texts under the mask must match, and strings by chance must
be accepted by both or by none.
"""

import json
import random
import re
import subprocess
import sys

ALPHABET = "ab01\n-é😀"


def quote(text):
    return '"' + "".join({"\n": "\\n", '"': '\\"', "\\": "\\\\", "😀": "\\U0001F600"}.get(c, c) for c in text) + '"'


class Maker:
    def __init__(self, rng):
        self.rng = rng
        self.rules = []

    def node(self, depth):
        """The same language in GBNF and for `re`."""
        rng = self.rng
        kind = rng.choice(["text", "class", "any"] if depth == 0 else ["text", "class", "seq", "alt", "rep", "rule", "seq", "alt"])
        if kind == "text":
            text = "".join(rng.choice(ALPHABET) for _ in range(rng.randint(0 if depth else 1, 3)))
            return quote(text), f"(?:{re.escape(text)})"
        if kind == "class":
            ranges = rng.sample(["a-b", "0-1", "é", "\\n", "-", "\\U0001F600", "b-z"], rng.randint(1, 3))
            ranges.sort(key=lambda r: r == "-")
            negated = "^" if rng.random() < 0.3 else ""
            # A hyphen at the end is itself.
            return f"[{negated}{''.join(ranges)}]", f"[{negated}{''.join(ranges)}]"
        if kind == "any":
            return ".", "(?s:.)"
        if kind == "seq":
            parts = [self.node(depth - 1) for _ in range(rng.randint(2, 3))]
            return "(" + " ".join(p[0] for p in parts) + ")", "(?:" + "".join(p[1] for p in parts) + ")"
        if kind == "alt":
            parts = [self.node(depth - 1) for _ in range(rng.randint(2, 3))]
            return "(" + " | ".join(p[0] for p in parts) + ")", "(?:" + "|".join(p[1] for p in parts) + ")"
        if kind == "rep":
            gbnf, regex = self.node(depth - 1)
            times = rng.choice(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{1,}"])
            return f"({gbnf}){times}", f"(?:{regex}){times}"
        gbnf, regex = self.node(depth - 1)
        name = f"rule-{len(self.rules)}"
        self.rules.append(f"{name} ::= {gbnf}\n")
        return name, regex


def main():
    program, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 500
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    cases = []
    for _ in range(count):
        maker = Maker(rng)
        gbnf, regex = maker.node(rng.randint(1, 4))
        rules = "".join(maker.rules)
        strings = ["".join(rng.choice(ALPHABET) for _ in range(rng.randint(0, 6))) for _ in range(60)]
        cases.append((f"root ::= {gbnf}\n{rules}", regex, strings))
        strings = [rng.choice(["", "(", "(("]) + text for text in strings]
        cases.append((f"root ::= top | \"(\" root\ntop ::= {gbnf}\n{rules}", rf"\(*(?:{regex})", strings))
    lines = "".join(json.dumps({"gbnf": gbnf, "strings": strings}) + "\n" for gbnf, _, strings in cases)
    output = subprocess.run([program], input=lines, text=True, capture_output=True, check=True).stdout
    answers = [json.loads(line) for line in output.split("\n")[:-1]]
    assert len(answers) == len(cases)
    texts, strings, accepted, wrong, refused = 0, 0, 0, 0, 0
    for (gbnf, regex, own), answer in zip(cases, answers):
        if "error" in answer:
            refused += 1
            print("REFUSED", gbnf, answer["error"])
            continue
        pattern = re.compile(regex)
        for text in answer["texts"]:
            texts += 1
            if not pattern.fullmatch(text):
                wrong += 1
                print("WRITTEN, does not match", gbnf, repr(text), sep="\n  ")
        for text, taken in zip(own, answer["accepted"]):
            strings += 1
            accepted += taken
            if bool(pattern.fullmatch(text)) != taken:
                wrong += 1
                print("accepted" if taken else "refused", "differs", gbnf, repr(text), sep="\n  ")
    print(f"{len(cases)} grammars, {refused} refused; {texts} texts, {strings} strings of which {accepted} are accepted")
    print(f"{wrong} differ")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
