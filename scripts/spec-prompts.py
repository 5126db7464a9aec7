#!/usr/bin/env python3
"""Prompts for the figures of speculative decoding: Spec-Bench's 480 and 20 edits of this repository's own files.

    scripts/spec-prompts.py QUESTIONS.jsonl OUT.jsonl [--repository .]

QUESTIONS.jsonl is data/spec_bench/question.jsonl of Spec-Bench (github.com/hemingkx/Spec-Bench, Apache-2.0), which is not part of
this repository. OUT.jsonl gets one prompt a line, {"kind", "id", "prompt"}: the first turn of each question, of the kinds chat
(MT-bench's eight categories), translation, summarization, qa, math and retrieval, 80 each; then the kind edit: a piece of a
file, 40 to 80 lines of code or 16 to 80 of prose, a change to make, and the request to write all of it again. Pieces are found by
what their first line contains. A piece that is gone, or lacks the text to change, ends the script with its name. Prints how many
prompts of each kind there are and how long they are, in characters.
"""
import argparse
import json
import pathlib
import statistics
import sys

KINDS = {"translation": "translation", "summarization": "summarization", "qa": "qa", "math_reasoning": "math", "rag": "retrieval"}
CHAT = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")

# Lines of prose are long: a piece of it has fewer.
LEAST_LINES, LEAST_PROSE, MOST_LINES, MOST_CHARACTERS = 40, 16, 80, 2150

# A file, what the first line of the piece contains ("" is the file's first line), a text that must be in the piece, and what to
# change.
EDITS = (
    ("README.md", "## Limits", "siskin", "Replace every \"siskin\" by \"finch\""),
    ("README.md", "## Install", "Debian", "Replace every \"Debian\" by \"Ubuntu\""),
    ("Makefile", "# The commands of siskin", "--release", "Replace every --release by --profile fast"),
    ("model/src/arch/role.rs", "", "pub", "Add #[non_exhaustive] above each pub enum"),
    ("fuzz/Cargo.toml", "", "path", "Set the version of the package to 1.2.3"),
    ("scripts/callgrind.sh", "", "set -", "Add the line \"echo started\" after the line that begins with set"),
    ("scripts/serve-writes.py", "class Traced", "self.folder", "Rename the field folder to home"),
    ("serve/systemd/siskin.service", "", "[Service]", "Add the line Nice=5 after the line [Service]"),
    ("tests/clients/common.py", "", "FAILED", "Rename FAILED to WRONG everywhere"),
    (".github/workflows/ci.yml", "jobs:", "actions/checkout", "Replace every \"run:\" by \"script:\""),
    ("runtime/src/text/utf8.rs", "", "Utf8Stream", "Rename Utf8Stream to TextStream everywhere"),
    ("runtime/src/text/usage.rs", "", "generated_tokens", "Rename generated_tokens to drawn_tokens everywhere"),
    ("serve/src/metrics/labels.rs", "", "Draining", "Remove the variant Draining and its value"),
    ("hub/src/store/remove.rs", "", "Freed", "Rename the type Freed to Removed everywhere"),
    ("quant/src/block/q4_0.rs", "", "scale", "Rename the field scale to factor everywhere"),
    ("model/src/tokenizer/token_type.rs", "", "pub enum", "Add the variant Other at the end of the enum"),
    ("device/src/settings.rs", "", "pub fn", "Make every pub function pub(crate)"),
    ("src/render/style.rs", "", "fn ", "Add the comment \"// Fast.\" above each function"),
    ("serve/src/service/signals.rs", "", "//!", "Replace the first line by \"//! How the service ends.\""),
    ("src/commands/stats.rs", "", "use ", "Remove all comments"),
)


def piece(text, start, least):
    """The lines from the first that contains `start`, up to an empty line, or where the limits end them; None if there are too few."""
    lines = text.splitlines()
    first = next((n for n, line in enumerate(lines) if start in line), None)
    if first is None:
        return None
    taken, size, whole = [], 0, 0
    for line in lines[first:first + MOST_LINES]:
        size += len(line) + 1
        if size > MOST_CHARACTERS:
            break
        taken.append(line)
        if len(taken) >= least and not line:
            whole = len(taken)
    if first + len(taken) < len(lines) and whole:
        taken = taken[:whole]
    return "\n".join(taken).strip() if len(taken) >= least else None


def edits(repository):
    for number, (name, start, needed, change) in enumerate(EDITS):
        path = repository / name
        least = LEAST_PROSE if path.suffix == ".md" else LEAST_LINES
        part = piece(path.read_text(), start, least) if path.is_file() else None
        if part is None or needed not in part:
            sys.exit(f"{name}: no {least} lines from one with {start!r}, with {needed!r} in them, in {MOST_CHARACTERS} characters")
        yield {"kind": "edit", "id": f"edit-{number}",
               "prompt": f"Here is a file, {name}:\n\n```\n{part}\n```\n\n{change}. Write the whole file again, with nothing else changed."}


def questions(path):
    for line in path.read_text().splitlines():
        question = json.loads(line)
        kind = "chat" if question["category"] in CHAT else KINDS[question["category"]]
        yield {"kind": kind, "id": f"spec-bench-{question['question_id']}", "prompt": question["turns"][0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--repository", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent)
    args = parser.parse_args()
    prompts = [*questions(args.questions), *edits(args.repository)]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("".join(json.dumps(prompt, ensure_ascii=False) + "\n" for prompt in prompts))
    lengths = {}
    for prompt in prompts:
        lengths.setdefault(prompt["kind"], []).append(len(prompt["prompt"]))
    print("| kind | prompts | shortest | median | mean | longest |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for kind, of in {**lengths, "all": [n for some in lengths.values() for n in some]}.items():
        print(f"| {kind} | {len(of)} | {min(of)} | {statistics.median(of):.0f} | {statistics.mean(of):.0f} | {max(of)} |")


if __name__ == "__main__":
    main()
