"""Make the tiny checkpoints and their goldens: folders as Hugging Face would publish them.

    python tests/data/make.py ../shared/data/text/tales [--only NAME]... [--goldens]

Needs torch, transformers 5, sentencepiece, tokenizers and safetensors. Seeds are fixed: the same versions
on the same kind of machine give the same files. `--goldens` keeps the checkpoints and computes only the goldens
again. README.md in this folder explains what each fixture tests.
"""

import argparse
import json
import random
import shutil
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM, StableLmConfig, StableLmForCausalLM,
)

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent.parent / "assets")]

import golden  # noqa: E402
import train as storyteller  # noqa: E402
import vocab  # noqa: E402

SEED = 4711
CONTEXT = 256
VOCAB = 512
CHECKPOINTS = HERE / "checkpoints"
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
LLAMA3_ROPE = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
LINEAR_ROPE = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
SPM_CHAT = ("{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token "
            "+ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}")
BPE_CHAT = ("{% for message in messages %}\n{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token }}\n"
            "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}")


@dataclass
class Fixture:
    """One checkpoint: only the differences from the defaults of `shape`."""

    family: str  # llama, stablelm, gptneox
    tokenizer: str  # spm, llama3, stablelm2, pythia
    dtype: str
    config: dict = field(default_factory=dict)
    old_style: bool = False  # config.json as transformers 4 writes it
    trained: int = 0  # steps on the tales; 0 leaves random weights
    shards: str | None = None  # largest shard
    after: callable = None  # last changes to the folder


def rope(theta=10000.0, **more) -> dict:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": theta} | more}


WIDE = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4}
SPM_IDS = {"bos_token_id": 1, "eos_token_id": 2}


def fixtures() -> dict[str, Fixture]:
    return {
        "llama-spm": Fixture("llama", "spm", "bf16", WIDE | {"num_key_value_heads": 2}, trained=600),
        "stablelm-bpe": Fixture("stablelm", "stablelm2", "f16", WIDE | {"num_key_value_heads": 2,
                                "use_qkv_bias": True}, old_style=True, trained=600),
        "gptneox-bpe": Fixture("gptneox", "pythia", "f16", WIDE | {"vocab_size": VOCAB + 16},
                               old_style=True, trained=600),
        "llama-tied": Fixture("llama", "spm", "bf16", {"tie_word_embeddings": True, "vocab_size": VOCAB + 8},
                              old_style=True, after=add_tokens_and_chat),
        "llama-sharded": Fixture("llama", "spm", "f16", {"num_key_value_heads": 4}, shards="130KB"),
        "llama-f32": Fixture("llama", "spm", "f32", {"hidden_size": 96, "intermediate_size": 256,
                             "num_attention_heads": 6, "num_key_value_heads": 3}, old_style=True),
        "llama-bias": Fixture("llama", "spm", "bf16", {"attention_bias": True, "mlp_bias": True,
                              "head_dim": 24, "intermediate_size": 176}),
        "llama-rope-llama3": Fixture("llama", "llama3", "bf16", {"tie_word_embeddings": True,
                                     "rope_parameters": LLAMA3_ROPE}, after=llama3_generation),
        "llama-rope-llama3-old": Fixture("llama", "llama3", "f16", {"rope_parameters": LLAMA3_ROPE},
                                         old_style=True, after=llama3_generation),
        "llama-rope-linear": Fixture("llama", "spm", "bf16", {"rope_parameters": LINEAR_ROPE},
                                     old_style=True, after=legacy_linear),
        "stablelm-qknorm": Fixture("stablelm", "stablelm2", "bf16", {"qk_layernorm": True,
                                   "use_qkv_bias": True}),
        "stablelm-qknorm-gqa": Fixture("stablelm", "stablelm2", "f16", {"qk_layernorm": True,
                                       "num_key_value_heads": 2, "use_parallel_residual": True}),
        "stablelm-parallel": Fixture("stablelm", "stablelm2", "f32", {"use_parallel_residual": True,
                                     **rope(partial_rotary_factor=0.5)}, after=bare_stablelm),
        "gptneox-sequential": Fixture("gptneox", "pythia", "f32", {"use_parallel_residual": False,
                                      **rope(partial_rotary_factor=0.5)}, after=add_buffers),
    }


# ---- last changes --------------------------------------------------------------------------------


def edit(path: Path, change):
    value = json.loads(path.read_text("utf-8"))
    change(value)
    path.write_bytes(vocab.pretty(value))


def add_tokens_and_chat(folder: Path):
    """Tokens beyond the SentencePiece model (two named, six only padding) and a chat template."""
    (folder / "added_tokens.json").write_bytes(vocab.pretty({"<|user|>": VOCAB, "<|assistant|>": VOCAB + 1}))
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    names = {0: "<unk>", 1: "<s>", 2: "</s>", VOCAB: "<|user|>", VOCAB + 1: "<|assistant|>"}
    decoder = {str(id): {"content": name} | plain for id, name in names.items()}
    edit(folder / "tokenizer_config.json", lambda c: c.update(
        added_tokens_decoder=decoder, chat_template=SPM_CHAT, pad_token="</s>"))
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    (folder / "special_tokens_map.json").write_bytes(vocab.pretty(special))


def llama3_generation(folder: Path):
    """Several end-of-text tokens, as in Llama 3 Instruct, and the template in its own file."""
    end = [VOCAB - 3, VOCAB - 1]
    edit(folder / "config.json", lambda c: c.update(eos_token_id=end))
    edit(folder / "generation_config.json", lambda c: c.update(eos_token_id=end))
    (folder / "chat_template.jinja").write_text(BPE_CHAT)


def legacy_linear(folder: Path):
    """The older spelling of scaling: `type` instead of the later `rope_type`."""
    edit(folder / "config.json", lambda c: c["rope_scaling"].update(type=c["rope_scaling"].pop("rope_type")))


def bare_stablelm(folder: Path):
    """As stablelm-2-zephyr is published: a template, but only tokenizer.json names tokens."""
    (folder / "tokenizer_config.json").unlink()
    (folder / "generation_config.json").unlink()
    (folder / "chat_template.jinja").write_text(BPE_CHAT)


def add_buffers(folder: Path):
    """The buffers that Pythia's checkpoints contain in addition to weights; readers must skip them."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for layer in range(2):
        name = f"gpt_neox.layers.{layer}.attention."
        tensors[name + "bias"] = torch.ones(1, 1, 64, 64, dtype=torch.bool).tril()
        tensors[name + "masked_bias"] = torch.tensor(-1e9)
        tensors[name + "rotary_emb.inv_freq"] = 10000.0 ** -(torch.arange(0, 8, 2) / 8)
    save_file(tensors, path, metadata={"format": "pt"})


# ---- models --------------------------------------------------------------------------------------


def shape(fixture: Fixture, ids: dict[str, int]) -> dict:
    """Width 64: rows that 256-blocks do not divide; feed-forward 192, unless the fixture sets it."""
    common = {"vocab_size": VOCAB, "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2,
              "num_attention_heads": 4, "max_position_embeddings": CONTEXT, "tie_word_embeddings": False}
    if fixture.family == "gptneox":
        return common | {"bos_token_id": 0, "eos_token_id": 0, **rope(partial_rotary_factor=0.25)} | fixture.config
    if fixture.family == "stablelm":
        end = {"bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|endoftext|>"]}
        return common | end | {"num_key_value_heads": 4, **rope(partial_rotary_factor=0.25)} | fixture.config
    end = SPM_IDS if fixture.tokenizer == "spm" else {
        "bos_token_id": ids["<|begin_of_text|>"], "eos_token_id": ids["<|eot_id|>"]}
    return common | end | {"num_key_value_heads": 2, "rms_norm_eps": 1e-5, **rope()} | fixture.config


CLASSES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "stablelm": (StableLmConfig, StableLmForCausalLM),
    "gptneox": (GPTNeoXConfig, GPTNeoXForCausalLM),
}


@torch.no_grad()
def scatter(model):
    """Random weights with clearly different logits: unit activations, norms that are not 1, biases not 0."""
    for name, p in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            p.uniform_(0.5, 1.5)
        elif name.endswith("bias"):
            p.normal_(0.0, 0.2)
        elif "embed_in" in name or "embed_tokens" in name:
            p.normal_(0.0, 0.5 if model.config.tie_word_embeddings else 1.0)
        else:
            gain = 3.0 if name.startswith(("lm_head", "embed_out")) else 1.2
            p.normal_(0.0, gain / p.shape[1] ** 0.5)


@cache
def tales() -> list[list[str]]:
    return storyteller.read_tales(ARGS.tales)


@cache
def vocabulary(name: str) -> vocab.Vocabulary:
    if name == "spm":
        return vocab.from_sentencepiece(storyteller.train_sentencepiece(tales(), VOCAB), CONTEXT)
    family = getattr(vocab, name)()
    lines = [text for tale in tales() for text in tale]
    return vocab.from_bpe(vocab.train_bpe(family, lines, VOCAB), family)


def build(fixture: Fixture, words: vocab.Vocabulary):
    make_config, make_model = CLASSES[fixture.family]
    model = make_model(make_config(**shape(fixture, words.ids)))
    if not fixture.trained:
        scatter(model)
        return model
    perturb_vectors(model)
    config = model.config
    bos = config.bos_token_id
    stream = storyteller.Stream(tales(), words.encode, bos, config.eos_token_id, lead=words.bos is not None)
    storyteller.train(model, stream, None, steps=fixture.trained, rows=16, length=128, lr=4e-3,
                      rng=random.Random(SEED), every=200)
    return model


@torch.no_grad()
def perturb_vectors(model):
    """Start norms away from 1 and biases away from 0, because short training would hardly move them."""
    for name, p in model.named_parameters():
        if p.ndim == 1:
            p.add_(torch.randn_like(p) * 0.1)


# ---- folders -------------------------------------------------------------------------------------


def to_old_style(config: dict):
    """`config.json` as transformers 4 writes it."""
    parameters = config.pop("rope_parameters")
    theta, kind = parameters.pop("rope_theta"), parameters["rope_type"]
    part = parameters.pop("partial_rotary_factor", None)
    if config["model_type"] == "gpt_neox":
        config |= {"rotary_emb_base": int(theta), "rotary_pct": part}
    else:
        config |= {"rope_theta": theta, "rope_scaling": None if kind == "default" else parameters}
        if part is not None:
            config["partial_rotary_factor"] = part
    if config.get("head_dim") == config["hidden_size"] // config["num_attention_heads"]:
        del config["head_dim"]
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.44.0"


def write(name: str, fixture: Fixture):
    folder = CHECKPOINTS / name
    torch.manual_seed(SEED + sum(map(ord, name)))
    words = vocabulary(fixture.tokenizer)
    if not ARGS.goldens:
        shutil.rmtree(folder, ignore_errors=True)
        model = build(fixture, words).to(DTYPES[fixture.dtype])
        folder.mkdir(parents=True)
        model.save_pretrained(folder, **({"max_shard_size": fixture.shards} if fixture.shards else {}))
        vocab.write(words, folder)
        if fixture.old_style:
            edit(folder / "config.json", to_old_style)
        if fixture.after:
            fixture.after(folder)
    told = golden.write(folder, words, set(words.ids.values()))
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{name}: {size / 1e3:.0f} kB, gap {told['smallest_gap']}, tanh {told['tanh_gelu_shift']}, "
          f"{told['prompt']!r} -> {told['greedy_text']!r}", flush=True)


def arguments():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("tales", type=Path)
    args.add_argument("--only", action="append", metavar="NAME")
    args.add_argument("--goldens", action="store_true", help="keep the checkpoints")
    return args.parse_args()


if __name__ == "__main__":
    ARGS = arguments()
    torch.set_num_threads(2)
    transformers.utils.logging.disable_progress_bar()
    began = time.time()
    for name, fixture in fixtures().items():
        if not ARGS.only or name in ARGS.only:
            write(name, fixture)
    print(f"{time.time() - began:.0f} s")
