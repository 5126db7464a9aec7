#!/usr/bin/env python3
"""Makes a pair of models for draft models: a small storyteller guesses for a larger one that tells the same tales.

    scripts/spec-pair.py tales   STORYTELLER TALES.pt [--count 512] [--seed 77]
    scripts/spec-pair.py train   STORYTELLER TALES.pt OUT_DIR [--steps 24] [--rate 1e-4] [--seed 1]
    scripts/spec-pair.py measure STORYTELLER TALES.pt OUT_DIR [--prompts 40] [--tokens 200]

STORYTELLER is the checkpoint of stories260K in Hugging Face's layout (config.json, model.safetensors, tokenizer.model).

`tales` draws texts of 512 tokens from the storyteller, each from the begin token on, at temperature 1 without top-k or top-p; a
text holds about two tales. `train` makes a Llama model of 95 million parameters with the same tokenizer (width 1024, 8 layers,
16 heads of 64, 8 key/value heads, feed-forward 2816): large enough that its weights decide how long a token takes. From fresh
weights that takes a CPU hours. So it starts as the storyteller made larger: each neuron is copied, the weights of the copies are
split at random so that the copies part, and what is added beyond computes nothing yet. All of it then learns from the tales, and
becomes a model of its own; the rate decides how far it goes. Writes OUT_DIR, for `siskin convert`. The last 64 texts are never
learned from; on them it prints the loss of both models, in nats a token, and how far apart the two are (mean divergence of the
larger one's probabilities from the storyteller's). `measure` continues the first words of those texts greedily with the larger
model, and prints how often the storyteller's most likely token is that model's, and how many tokens a pass gives with 1 to 7 guesses.

With the defaults, on 2026-11-28 with torch 2.15.0, transformers 5.24.0 and one thread, 5 minutes on a busy machine: loss 1.379 and
the storyteller's 1.290, 0.088 apart; over 40 texts the two agree on 88.7 % of the tokens. So few steps make the model another one,
not a better one: it begins at the storyteller's loss and ends above it. How often the two agree follows from the rate and the steps;
it shows what a draft model gains at that acceptance, not how often a real pair agrees.

The same seeds give the same tales and weights on one kind of machine with the same versions and threads. Needs torch and
transformers. On a busy machine it is faster with --threads 1 and, in the environment, OMP_WAIT_POLICY=passive,
MALLOC_MMAP_MAX_=0 and MALLOC_TRIM_THRESHOLD_=8000000000, which keeps memory between steps.
"""
import argparse
import json
import math
import pathlib
import shutil
import time

import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

LENGTH, KEPT, ROWS = 512, 64, 4
WIDTH, FEED_FORWARD, LAYERS, HEADS, KEY_HEADS, HEAD = 1024, 2816, 8, 16, 8, 64
# Layers of the larger model that begin as the storyteller's; those between begin as nothing.
OLD_LAYERS = (0, 2, 4, 5, 7)


def storyteller(folder):
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    return model.eval().requires_grad_(False)


def draw(teacher, count, seed):
    """`count` tales as a table of token ids, the first of each the begin token."""
    tables, batch = [], 512
    for first in range(0, count, batch):
        started = time.monotonic()
        torch.manual_seed(seed * 1_000_000 + first)
        begin = torch.full((min(batch, count - first), 1), teacher.config.bos_token_id)
        table = teacher.generate(begin, attention_mask=torch.ones_like(begin), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                                 max_new_tokens=LENGTH - 1, eos_token_id=None, pad_token_id=0)
        tables.append(table.to(torch.int16))
        print(f"tales {first + len(begin)}/{count}, {time.monotonic() - started:.1f} s", flush=True)
    return torch.cat(tables)


def fresh(vocabulary):
    """The larger model, with weights that mean nothing yet."""
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=FEED_FORWARD, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KEY_HEADS, head_dim=HEAD, max_position_embeddings=LENGTH,
        rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
        attn_implementation="sdpa"))


def split_inputs(weight, times):
    """The matrix for inputs that are there `times` times: the weights of the copies of an input add up to its old one."""
    shares = 1 + 0.5 * torch.randn(times, *weight.shape)
    shares = (shares - shares.mean(0) + 1) / times
    return torch.cat(list(weight * shares), 1)


def larger_heads(weight, heads, size, copies, scale, rest):
    """Rows of queries or keys for heads of HEAD numbers: those that turn as fast as the old ones get their rows,
    times `scale`, and the others random ones as large as `rest`."""
    old = weight.view(heads, size, -1)
    new = rest * torch.randn(heads, HEAD, old.shape[-1])
    half, every = size // 2, HEAD // size
    for place in range(half):
        # The two numbers that are turned together are half a head apart.
        new[:, place * every] = scale * old[:, place]
        new[:, HEAD // 2 + place * every] = scale * old[:, half + place]
    return new.repeat(copies, 1, 1).flatten(0, 1)


def enlarge(teacher):
    """The larger model, which computes what the storyteller does."""
    of = teacher.config
    size, copies = of.hidden_size // of.num_attention_heads, HEADS // of.num_attention_heads
    wider = WIDTH // of.hidden_size
    model = fresh(of.vocab_size)
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(teacher.model.embed_tokens.weight.repeat(1, wider))
        model.model.norm.weight.copy_(teacher.model.norm.weight.repeat(wider))
        model.lm_head.weight.copy_(split_inputs(teacher.lm_head.weight, wider))
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        for old, place in zip(teacher.model.layers, OLD_LAYERS):
            new = model.model.layers[place]
            new.input_layernorm.weight.copy_(old.input_layernorm.weight.repeat(wider))
            new.post_attention_layernorm.weight.copy_(old.post_attention_layernorm.weight.repeat(wider))
            to, at = new.self_attn, old.self_attn
            # Scores are divided by the root of a head's size, which grows; unused numbers of a query are 0.
            queries = larger_heads(at.q_proj.weight, of.num_attention_heads, size, copies, math.sqrt(HEAD / size), 0.0)
            to.q_proj.weight.copy_(split_inputs(queries, wider))
            to.k_proj.weight.copy_(split_inputs(larger_heads(at.k_proj.weight, of.num_key_value_heads, size, copies, 1.0, 0.02), wider))
            values = at.v_proj.weight.view(of.num_key_value_heads, size, -1).repeat(copies, HEAD // size, 1)
            to.v_proj.weight.copy_(split_inputs(values.flatten(0, 1), wider))
            heads = at.o_proj.weight.view(-1, of.num_attention_heads, size).repeat(wider, 1, 1)
            shares = 1 + 0.5 * torch.randn(copies, WIDTH, of.num_attention_heads, HEAD // size, size)
            shares = (shares - shares.mean((0, 3), keepdim=True) + 1) / (copies * (HEAD // size))
            to.o_proj.weight.copy_((heads[None, :, :, None, :] * shares).transpose(0, 1).flatten(1))
            used = of.intermediate_size * wider
            for name in ("gate_proj", "up_proj"):
                getattr(new.mlp, name).weight[:used] = split_inputs(getattr(old.mlp, name).weight.repeat(wider, 1), wider)
            new.mlp.down_proj.weight[:, :used] = split_inputs(old.mlp.down_proj.weight.repeat(wider, 1), wider)
    return model


def losses(model, teacher, ids):
    """Mean negative log-probability of the tokens by `model` and by the teacher, and the mean divergence between the two."""
    sums, count = torch.zeros(3), 0
    with torch.no_grad():
        for part in ids.long().split(16):
            with torch.autocast("cpu", torch.bfloat16):
                mine = model(part[:, :-1]).logits
            mine, theirs = mine.float().log_softmax(-1), teacher(part[:, :-1]).logits.log_softmax(-1)
            next_token = part[:, 1:].unsqueeze(-1)
            sums[0] -= mine.gather(-1, next_token).sum()
            sums[1] -= theirs.gather(-1, next_token).sum()
            sums[2] += (theirs.exp() * (theirs - mine)).sum()
            count += next_token.numel()
    return (sums / count).tolist()


def learn(model, teacher, ids, kept, steps, rate, seed):
    """Trains `model` on the tales, ROWS of them a step."""
    maker = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.01)
    dice = torch.Generator().manual_seed(seed)
    order, started = torch.empty(0, dtype=torch.long), time.monotonic()
    for step in range(steps):
        if len(order) < ROWS:
            order = torch.randperm(len(ids), generator=dice)
        part, order = ids[order[:ROWS]].long(), order[ROWS:]
        for group in maker.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 5) * (0.02 + 0.98 * (1 - step / steps))
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(part[:, :-1]).logits
        loss = F.cross_entropy(logits.float().flatten(0, 1), part[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        maker.step()
        maker.zero_grad(set_to_none=True)
        if step % 4 == 3 or step + 1 == steps:
            speed = (step + 1) * ROWS * LENGTH / (time.monotonic() - started)
            print(f"step {step + 1}/{steps} loss {loss.item():.4f} {speed:.0f} tokens/s", flush=True)
        if step % 8 == 7 and step + 1 < steps:
            print("8 kept tales: loss %.4f, storyteller %.4f, apart %.4f" % tuple(losses(model, teacher, kept[:8])), flush=True)


def train(args):
    torch.manual_seed(args.seed)
    teacher, table = storyteller(args.storyteller), torch.load(args.tales)
    ids, kept = table[:-KEPT], table[-KEPT:]
    out = args.out
    out.mkdir(parents=True, exist_ok=True)
    model = enlarge(teacher)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    print("8 kept tales: loss %.4f, storyteller %.4f, apart %.4f" % tuple(losses(model, teacher, kept[:8])), flush=True)
    learn(model, teacher, ids, kept, args.steps, args.rate, args.seed)
    model.save_pretrained(out)
    shutil.copyfile(args.storyteller / "tokenizer.model", out / "tokenizer.model")
    print("%d kept tales: loss %.4f, storyteller %.4f, apart %.4f" % (KEPT, *losses(model, teacher, kept)))


def passes(right, most):
    """How many passes a text takes with `most` guesses in each, if its tokens were guessed `right` or not."""
    count, place = 0, 0
    while place < len(right):
        run = 0
        while run < most and place + run < len(right) and right[place + run]:
            run += 1
        count, place = count + 1, place + run + 1
    return count


def measure(args):
    teacher, table = storyteller(args.storyteller), torch.load(args.tales)
    target = LlamaForCausalLM.from_pretrained(args.out, dtype=torch.float32).eval()
    tales, texts = table[-KEPT:][:args.prompts].long(), []
    # Prompts of several lengths, so that the texts differ in depth; those of one length are continued together.
    lengths = (8, 24, 64, 128)
    for number, length in enumerate(lengths):
        prompts = tales[number::len(lengths), :length]
        with torch.no_grad():
            rows = target.generate(prompts, attention_mask=torch.ones_like(prompts), do_sample=False, max_new_tokens=args.tokens,
                                   eos_token_id=[1, 2], pad_token_id=0)
            guesses = teacher(rows[:, :-1]).logits.argmax(-1)
        for row, guess in zip(rows[:, length:].tolist(), guesses[:, length - 1:].tolist()):
            # A begin or end token ends a text; what follows it is padding.
            said = next((place + 1 for place, token in enumerate(row) if token in (1, 2)), len(row))
            texts.append([token == guessed for token, guessed in zip(row[:said], guess)])
    said = sum(map(len, texts))
    print(json.dumps({"texts": len(texts), "tokens": said, "agree": round(sum(map(sum, texts)) / said, 4),
                      "tokens_a_pass": {k: round(said / sum(passes(text, k) for text in texts), 3) for k in range(1, 8)}}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    for name in ("tales", "train", "measure"):
        part = parts.add_parser(name)
        part.add_argument("storyteller", type=pathlib.Path)
        part.add_argument("tales", type=pathlib.Path)
        part.add_argument("--threads", type=int, default=2)
        if name != "tales":
            part.add_argument("out", type=pathlib.Path)
        if name != "measure":
            part.add_argument("--seed", type=int, default=77 if name == "tales" else 1)
    parts.choices["tales"].add_argument("--count", type=int, default=512)
    for name, kind, value in (("steps", int, 24), ("rate", float, 1e-4)):
        parts.choices["train"].add_argument(f"--{name}", type=kind, default=value)
    parts.choices["measure"].add_argument("--prompts", type=int, default=40)
    parts.choices["measure"].add_argument("--tokens", type=int, default=200)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.part == "tales":
        torch.save(draw(storyteller(args.storyteller), args.count, args.seed), args.tales)
    elif args.part == "train":
        train(args)
    else:
        measure(args)


if __name__ == "__main__":
    main()
