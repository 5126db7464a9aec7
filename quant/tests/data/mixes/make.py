#!/usr/bin/env python3
"""Asks llama-quantize which type it gives every tensor, for the shapes of real models and a few odd ones.

    make.py LLAMA_QUANTIZE TOKENIZERS_DIR

LLAMA_QUANTIZE is the program built from llama.cpp; TOKENIZERS_DIR holds NAME/config.json for the four models.
Needs the `gguf` and `numpy` packages. The GGUF files handed over have true names and shapes, and a hole where the
tensor data would be: `--dry-run` looks at nothing else. One NAME.txt a shape is written beside this script.

A line is a tensor, its shape in ggml's order, and the types by layer; `*` stands for the layer's number:
    blk.*.ffn_down.weight 5632x2048 q6_K:0-1,4,7 q4_K:2-3,5-6
"""

import json
import re
import struct
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import gguf

TYPES = ["q8_0", "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q4_0"]
ARCHS = {"LlamaForCausalLM": "llama", "StableLmForCausalLM": "stablelm", "GPTNeoXForCausalLM": "gptneox"}

REAL = ["llama-3.2-1b-instruct", "pythia-1b", "stablelm-2-zephyr-1_6b", "tinyllama-1.1b-chat"]


def odd(layers, width, heads, kv_heads, ffn, vocab, tied, arch="LlamaForCausalLM"):
    return dict(architectures=[arch], num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads,
                num_key_value_heads=kv_heads, intermediate_size=ffn, vocab_size=vocab, tie_word_embeddings=tied)


ODD = {
    "odd-rows-of-320": odd(9, 320, 5, 1, 864, 99, False),
    "odd-rows-of-320-tied": odd(3, 320, 5, 5, 512, 99, True),
    "odd-rows-of-48": odd(2, 48, 3, 3, 144, 99, True),
    "odd-41-layers": odd(41, 256, 4, 2, 512, 99, True),
    "odd-stablelm-norms": odd(5, 256, 4, 4, 512, 99, False, "StableLmForCausalLM"),
    "odd-gptneox": odd(33, 320, 5, 5, 1280, 99, False, "GPTNeoXForCausalLM"),
    "imatrix-17-layers": odd(17, 256, 4, 2, 512, 99, False),
}


def tensors(config):
    """Name and shape (ggml's order) of every tensor."""
    arch = ARCHS[config["architectures"][0]]
    width, ffn, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads", heads)
    head = width // heads
    yield "token_embd.weight", (width, vocab)
    for layer in range(config["num_hidden_layers"]):
        p = f"blk.{layer}."
        yield p + "attn_norm.weight", (width,)
        yield p + "ffn_norm.weight", (width,)
        if arch == "gptneox":
            yield p + "attn_qkv.weight", (width, 3 * width)
            yield p + "attn_qkv.bias", (3 * width,)
        else:
            yield p + "attn_q.weight", (width, heads * head)
            yield p + "attn_k.weight", (width, kv_heads * head)
            yield p + "attn_v.weight", (width, kv_heads * head)
            yield p + "ffn_gate.weight", (width, ffn)
        if arch == "stablelm":
            yield p + "attn_q_norm.weight", (head, heads)
            yield p + "attn_k_norm.weight", (head, kv_heads)
        yield p + "attn_output.weight", (width, width)
        yield p + "ffn_up.weight", (width, ffn)
        yield p + "ffn_down.weight", (ffn, width)
    yield "output_norm.weight", (width,)
    if not config["tie_word_embeddings"]:
        yield "output.weight", (width, vocab)
    if arch == "llama":
        yield "rope_freqs.weight", (head // 2,)


def write_hole(path, config):
    """A GGUF file with everything but the weights."""
    arch = ARCHS[config["architectures"][0]]
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(2048)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config.get("num_key_value_heads", config["num_attention_heads"]))
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_layer_norm_eps(1e-5)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_parallel_residual(True)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    size = 0
    for name, shape in tensors(config):
        f32 = len(shape) == 1 or name.endswith("_norm.weight")
        ty = gguf.GGMLQuantizationType.F32 if f32 else gguf.GGMLQuantizationType.F16
        bytes_ = (4 if f32 else 2)
        for n in shape:
            bytes_ *= n
        writer.add_tensor_info(name, tuple(reversed(shape)), "<f4" if f32 else "<f2", bytes_, raw_dtype=ty)
        size += gguf.GGUFWriter.ggml_pad(bytes_, writer.data_alignment)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size + 64 + size)


def write_imatrix(path, config):
    """llama.cpp's first format of importance matrices: every column of every matrix counts one."""
    entries = [(name, shape[0]) for name, shape in tensors(config) if len(shape) == 2]
    with open(path, "wb") as file:
        file.write(struct.pack("<i", len(entries)))
        for name, columns in entries:
            file.write(struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 1, columns))
            file.write(struct.pack("<f", 1.0) * columns)
        file.write(struct.pack("<i", 1) + struct.pack("<i", 4) + b"none")


def answers(program, model, file_type, imatrix):
    """Name to type, as llama-quantize --dry-run lists them."""
    extra = ["--imatrix", imatrix] if imatrix else []
    run = subprocess.run([program, *extra, "--dry-run", model, file_type.upper()], capture_output=True, text=True)
    found = {}
    for line in (run.stdout + run.stderr).splitlines():
        m = re.match(r"\[ *\d+/ *\d+\] +(\S+) +- \[.*\], type = +(\w+), .*?(?:\((\w+)\))?$", line.strip())
        if m:
            found[m[1]] = m[3] or m[2]
    if run.returncode != 0 or not found:
        sys.exit(run.stdout + run.stderr)
    return found


def runs(layers):
    """[0, 1, 4] as "0-1,4"."""
    parts = []
    for layer in layers:
        if parts and parts[-1][1] == layer - 1:
            parts[-1][1] = layer
        else:
            parts.append([layer, layer])
    return ",".join(f"{a}-{b}" if a != b else f"{a}" for a, b in parts)


def table(config, found):
    """Lines of the golden file for one file type."""
    rows = defaultdict(lambda: defaultdict(list))
    for name, shape in tensors(config):
        m = re.match(r"blk\.(\d+)\.(.*)", name)
        row = (f"blk.*.{m[2]}" if m else name, "x".join(map(str, shape)))
        rows[row][found.pop(name)].append(int(m[1]) if m else None)
    assert not found, found
    for (name, shape), types in rows.items():
        cells = (ty if layers == [None] else f"{ty}:{runs(layers)}" for ty, layers in types.items())
        yield f"{name} {shape} {' '.join(cells)}"


def main():
    program, tokenizers = sys.argv[1:]
    shapes = {name: json.loads((Path(tokenizers) / name / "config.json").read_text()) for name in REAL} | ODD
    with tempfile.TemporaryDirectory() as scratch:
        for name, config in shapes.items():
            model = Path(scratch) / "model.gguf"
            write_hole(model, config)
            imatrix = Path(scratch) / "imatrix.dat" if name.startswith("imatrix") else None
            if imatrix:
                write_imatrix(imatrix, config)
            lines = [f"layers {config['num_hidden_layers']}"]
            for file_type in TYPES:
                lines += ["", f"[{file_type}]", *table(config, answers(program, model, file_type, imatrix))]
            (Path(__file__).parent / f"{name}.txt").write_text("\n".join(lines) + "\n")


main()
