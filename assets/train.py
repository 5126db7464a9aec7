"""Train siskin's embedded storyteller: a small Llama on public-domain tales, as a Hugging Face folder.

    python assets/train.py ../shared/data/text/tales --out OUT_DIR [--steps N]

Needs torch, transformers and sentencepiece. The seed is fixed: the same versions on the same kind of
machine give the same checkpoint. Every hundred steps the run's state goes to OUT_DIR/state.pt: the same
command takes an interrupted run up again where it was. On a busy machine set OMP_WAIT_POLICY=PASSIVE, or
waiting threads burn what the others need. README.md beside this file says what came of it.
"""

import argparse
import bisect
import io
import json
import math
import random
import re
import time
from pathlib import Path

import sentencepiece
import torch
from torch.nn.functional import cross_entropy, dropout
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

SEED = 20_05
BOS, EOS, NEWLINE = 1, 2, "\n"
HELD_OUT_EVERY = 24
CONTEXT = 512
PROMPTS = ["Once upon a time", "The king said to his daughter", '"Who are you?" asked Alice']


# ---- text: tales as documents, a document as paragraphs ------------------------------------------


def is_title(block: str) -> bool:
    return bool(re.fullmatch(r"[A-Z0-9][A-Z0-9 ,.'!?:;\-]*", block)) and len(block) < 80


def unwrap(block: str) -> str:
    """One paragraph on one line; verse (indented lines) keeps its lines. `_emphasis_` loses its marks."""
    lines = block.split("\n")
    verse = all(line.startswith("  ") for line in lines)
    text = (NEWLINE if verse else " ").join(line.strip() for line in lines)
    return re.sub(r" {2,}", " ", text.replace("_", "").replace("*", "")).strip()


def read_tales(folder: Path) -> list[list[str]]:
    """Every tale as its paragraphs: no title lines, no file heading, no paragraph twice."""
    tales, seen = [], set()
    for path in sorted(folder.glob("*.txt")):
        blocks = re.split(r"\n\s*\n", path.read_text("utf-8").replace("\r", ""))[1:]
        tale = []
        for block in blocks:
            text = unwrap(block.strip("\n"))
            if is_title(text):
                tales.append(tale)
                tale = []
            elif text and (len(text) < 40 or text not in seen):
                seen.add(text)
                tale.append(text)
        tales.append(tale)
    return [tale for tale in tales if sum(map(len, tale)) > 200]


def train_sentencepiece(tales: list[list[str]], vocab_size: int) -> bytes:
    """A `tokenizer.model` with Llama 2's options: BPE, byte fallback, digits apart, nothing normalised."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for tale in tales for text in tale for line in text.split("\n")),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocab_size,
        byte_fallback=True,
        character_coverage=0.99995,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        max_sentence_length=16384,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


class Stream:
    """All tales as one row of tokens, and where windows may start: at the head of a paragraph.

    Within a tale a paragraph follows a newline, so its first word carries no space; at the head of a
    window it is what a prompt is, so it is tokenized as one (SentencePiece puts a space before it).
    """

    def __init__(self, tales: list[list[str]], encode, bos: int = BOS, eos: int = EOS, lead=True):
        """`lead`: whether the tokenizer puts BOS before a text, so that a window begins with it."""
        ids, self.starts, self.heads = [], [], []
        self.lead, prefix = [bos] if lead else [], len(encode(NEWLINE)) - 1
        for tale in tales:
            for n, text in enumerate(tale):
                head = encode(text)
                self.starts.append(len(ids))
                ids += encode(NEWLINE + text)[prefix:] if n else self.lead + head
                self.heads.append((head, len(ids)))
            ids.append(eos)
        self.ids = ids

    def window(self, at: int, length: int) -> torch.Tensor:
        """BOS, then `length` tokens from the last paragraph head at or before `at`."""
        at = min(at, len(self.ids) - 2 * length)
        nearest = bisect.bisect_right(self.starts, at) - 1
        head, end = self.heads[nearest]
        # Deep inside a long paragraph: begin right there, or its end would hardly ever be seen.
        deep = at - self.starts[nearest] > length // 2
        row = self.ids[at : at + length + 1] if deep else head + self.ids[end : end + length]
        return torch.tensor((self.lead + row)[: length + 1])

    def batch(self, rng: random.Random, rows: int, length: int) -> torch.Tensor:
        return torch.stack([self.window(rng.randrange(len(self.ids)), length) for _ in range(rows)])


# ---- training ------------------------------------------------------------------------------------


def add_dropout(model, rate: float):
    """Llama's classes have no residual dropout: hang it on what each block adds to the stream."""
    for name, module in model.named_modules():
        if name.endswith(("self_attn.o_proj", "mlp.down_proj", "embed_tokens")):
            module.register_forward_hook(
                lambda m, _, out: dropout(out, rate, training=m.training)
            )


def optimizers(model, lr: float):
    """Muon for the matrices inside the blocks, AdamW for embeddings and vectors."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    matrices = [p for n, p in named if p.ndim == 2 and "layers." in n]
    tables = [p for n, p in named if p.ndim == 2 and "layers." not in n]
    vectors = [p for _, p in named if p.ndim != 2]
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(
            [{"params": tables, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
            lr=lr, betas=(0.9, 0.95),
        ),
    ]


def loss_of(model, batch: torch.Tensor, bf16: bool) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(input_ids=batch[:, :-1], use_cache=False).logits
    return cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(model, stream: Stream, length: int, bf16: bool) -> float:
    model.eval()
    rows = [stream.window(at, length) for at in range(0, len(stream.ids) - length, length)]
    losses = [loss_of(model, torch.stack(rows[i : i + 8]), bf16) * len(rows[i : i + 8])
              for i in range(0, len(rows), 8)]
    model.train()
    return float(sum(losses)) / len(rows)


def train(model, stream, held_out, *, steps, rows, length, lr, rng, bf16=True, every=100,
          state: Path | None = None):
    """Linear warm-up, cosine to a twentieth. `state` is where a run is kept and taken up again."""
    model.train()
    opts = optimizers(model, lr)
    warm, began = max(steps // 30, 5), time.time()
    done, recent = take_up(state, model, opts, rng) if state and state.exists() else (0, None)
    for step in range(done + 1, steps + 1):
        cosine = 0.5 * (1 + math.cos(math.pi * max(step - warm, 0) / (steps - warm)))
        scale = min(step / warm, 0.05 + 0.95 * cosine)
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = lr * scale
        loss = loss_of(model, stream.batch(rng, rows, length), bf16)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        recent = loss.item() if recent is None else 0.95 * recent + 0.05 * loss.item()
        if step % every == 0 or step == steps:
            told = f", held out {held_out_loss(model, held_out, length, bf16):.3f}" if held_out else ""
            print(f"step {step}/{steps}: train {recent:.3f}{told}, {time.time() - began:.0f} s",
                  flush=True)
            if state:
                keep(state, model, opts, rng, step, recent)
    model.eval()


def keep(state: Path, model, opts, rng, step: int, recent: float):
    """Write the run's state beside its name first: an interruption leaves the one before."""
    parts = {"model": model.state_dict(), "opts": [opt.state_dict() for opt in opts], "step": step,
             "recent": recent, "random": rng.getstate(), "torch": torch.get_rng_state()}
    state.parent.mkdir(parents=True, exist_ok=True)
    torch.save(parts, state.with_suffix(".new"))
    state.with_suffix(".new").replace(state)


def take_up(state: Path, model, opts, rng) -> tuple[int, float]:
    parts = torch.load(state, weights_only=False)
    model.load_state_dict(parts["model"])
    for opt, kept in zip(opts, parts["opts"], strict=True):
        opt.load_state_dict(kept)
    rng.setstate(parts["random"])
    torch.set_rng_state(parts["torch"])
    print(f"taking up after step {parts['step']}", flush=True)
    return parts["step"], parts["recent"]


# ---- the folder ----------------------------------------------------------------------------------


def write_folder(model, tokenizer: bytes, out: Path):
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(out)
    GenerationConfig(bos_token_id=BOS, eos_token_id=EOS, do_sample=True, temperature=0.8,
                     top_p=0.95).save_pretrained(out)
    (out / "tokenizer.model").write_bytes(tokenizer)
    write_tokenizer_config(out, CONTEXT)


def write_tokenizer_config(out: Path, context: int):
    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "</s>",
        "model_max_length": context,
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("tales", type=Path)
    args.add_argument("--out", type=Path, default=Path(__file__).parent / "storyteller")
    args.add_argument("--steps", type=int, default=1000)
    args.add_argument("--rows", type=int, default=8)
    args.add_argument("--lr", type=float, default=3e-3)
    args.add_argument("--dropout", type=float, default=0.15)
    args.add_argument("--every", type=int, default=100, help="steps between measures and saved states")
    args.add_argument("--f32", action="store_true", help="no bf16 autocast")
    args = args.parse_args()

    began = time.time()
    random.seed(SEED)
    torch.manual_seed(SEED)
    torch.set_num_threads(2)

    tales = read_tales(args.tales)
    random.Random(SEED).shuffle(tales)
    kept = [t for i, t in enumerate(tales) if i % HELD_OUT_EVERY]
    apart = [t for i, t in enumerate(tales) if i % HELD_OUT_EVERY == 0]
    tokenizer = train_sentencepiece(kept, 2048)
    sp = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
    stream, held_out = Stream(kept, sp.encode), Stream(apart, sp.encode)

    config = LlamaConfig(
        vocab_size=2048, hidden_size=256, intermediate_size=768, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5, bos_token_id=BOS, eos_token_id=EOS, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    model = LlamaForCausalLM(config)
    add_dropout(model, args.dropout)
    print(f"{len(kept)}+{len(apart)} tales, {len(stream.ids)}+{len(held_out.ids)} tokens, "
          f"{sum(p.numel() for p in model.parameters())} parameters")
    train(model, stream, held_out, steps=args.steps, rows=args.rows, length=CONTEXT, lr=args.lr,
          rng=random.Random(SEED), bf16=not args.f32, every=args.every,
          state=args.out / "state.pt")
    write_folder(model, tokenizer, args.out)
    (args.out / "state.pt").unlink()

    model.float()
    for prompt in PROMPTS:
        for temperature in (0.4, 0.8):
            ids = torch.tensor([[BOS] + sp.encode(prompt)])
            out = model.generate(ids, do_sample=True, temperature=temperature, top_p=0.95, top_k=0,
                                 max_new_tokens=120)
            print(f"--- {temperature}: {sp.decode(out[0].tolist())}")
    print(f"{time.time() - began:.0f} s in all, written to {args.out}")


if __name__ == "__main__":
    main()
