"""Goldens of a fixture: what transformers computes in float32 from the stored weights."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

STEPS = 40
CLEAR = 2e-3  # smallest gap between the two best logits of a greedy path that is usable as a test

PROMPTS = [
    "Once upon a time there was a",
    "The king said to the fox,",
    "In the morning the little girl",
    "There was once a poor man who had",
    '"Who are you?" said the',
    "Alice was very glad to",
    "Buster Bear looked at the",
    "When the wolf came home",
    "She went into the garden and",
    "The old woman took the bread",
    "Then the youngest son",
    "At last the moon rose",
]

TEXTS = [
    "Hello, world!",
    "Once upon a time there lived a king",
    " leading space",
    "trailing space ",
    "two  spaces,   three    four",
    "        eight spaces and a\ttab\t\tand two",
    "line one\nline two\n\nline four\n",
    "\r\nwindows\r\n",
    "\n\n\n",
    "   \n  \n ",
    "I'm, you're, we've, it's, he'd, she'll, don't, I'M, IT'S",
    "'tis the wolf's 'house'",
    "0 12 345 6789 01234567890 3.14159 1,000,000",
    "x=1;y=[2,3];print(f\"{x}\")",
    "snake_case and camelCase and ALLCAPS",
    "¡Ñandú café naïve Übergröße œuvre!",
    "Слово и дело",
    "漢字かな交じり文",
    "한국어 텍스트",
    "مرحبا بالعالم",
    "😀 👩‍👩‍👧‍👦 🇩🇪 ✈️",
    "…—–“quoted” ‘single’ ½ ² ™",
    "\u00a0no-break\u2003em\u200bzero",
    "a",
    "....!!!???---___",
]


def load(folder: Path):
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    return model.eval()


@torch.no_grad()
def logits(model, ids: list[int]) -> torch.Tensor:
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]  # [positions, vocab]


def greedy(model, ids: list[int]) -> tuple[list[int], float]:
    """The greedy continuation, and the smallest gap between its first and second choice."""
    row, gap = list(ids), float("inf")
    for _ in range(STEPS):
        best = logits(model, row)[-1].topk(2)
        gap = min(gap, float(best.values[0] - best.values[1]))
        row.append(int(best.indices[0]))
    return row[len(ids) :], gap


def choose(model, vocabulary, forbidden: set[int]):
    """The prompt with the most varied and then clearest greedy path, without forbidden and padding tokens."""
    found = []
    for text in PROMPTS:
        ids = ([vocabulary.bos] if vocabulary.bos is not None else []) + vocabulary.encode(text)
        path, gap = greedy(model, ids)
        if gap > CLEAR and not any(id in forbidden or id >= vocabulary.size for id in path):
            found.append((min(len(set(path)), 16), gap, text, ids, path))
    assert found, "no prompt has a clear greedy path"
    return max(found)


def write(folder: Path, vocabulary, end: set[int]) -> dict:
    model = load(folder)
    _, gap, text, ids, path = choose(model, vocabulary, end)
    rows = logits(model, ids).numpy().astype("<f4")
    out = folder / "golden"
    out.mkdir(exist_ok=True)
    rows.tofile(out / "logits.f32")
    golden = {
        "prompt": text,
        "prompt_ids": ids,
        "greedy_ids": path,
        "greedy_text": vocabulary.decode(path),
        "smallest_gap": round(gap, 6),
        "logits": {
            "file": "logits.f32",
            "positions": rows.shape[0],
            "vocab": rows.shape[1],
            "sha256": hashlib.sha256(rows.tobytes()).hexdigest(),
        },
        "tanh_gelu_shift": tanh_gelu_shift(model, ids, rows),
        "tokenizations": [{"text": t, "ids": vocabulary.encode(t)} for t in TEXTS],
    }
    (out / "golden.json").write_text(compact(golden), encoding="utf-8")
    return golden


def tanh_gelu_shift(model, ids: list[int], exact: np.ndarray) -> float:
    """How far the logits move, relative to the largest, with the tanh form of GELU (as in ggml)."""
    acts = [m for m in model.modules() if type(m).__name__ == "GELUActivation"]
    if not acts:
        return 0.0
    for act in acts:
        act.act = lambda x: torch.nn.functional.gelu(x, approximate="tanh")
        act.forward = act.act
    moved = np.abs(logits(model, ids).numpy() - exact).max()
    return float(f"{moved / np.abs(exact).max():.2e}")


def compact(golden: dict) -> str:
    """One key per line and one tokenization per line: short files with readable diffs."""
    lines = []
    for key, value in golden.items():
        if key == "tokenizations":
            rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in value)
            lines.append(f' "{key}": [\n{rows}\n ]')
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
