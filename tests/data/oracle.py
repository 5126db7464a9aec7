"""Record what llama.cpp's own converter writes for every fixture, as golden/oracle.json.

    python tests/data/oracle.py LLAMA_CPP_TREE [--only NAME]...

LLAMA_CPP_TREE contains convert_hf_to_gguf.py, conversion/ and gguf-py/ (the tree inside the PyPI source
archive of llama-cpp-python 0.3.36 was used). Also needs torch and transformers 5.

The converter runs unchanged except for three things, none of which computes a tensor:
- It names a byte-level BPE's pre-tokenizer by hashing the ids of a long text, which only published
  vocabularies match. `PRE` gives the name of the real tokenizer with the same structure.
- With transformers 5 a GPT-NeoX configuration has no `rotary_pct` at the top level: it is copied back there.
- StableLM's q/k norms: the generator that should yield the stacked norms returns them instead, so they
  are lost and the converter refuses every such model. Here they are yielded.
"""

import argparse
import contextlib
import hashlib
import io
import json
import logging
import sys
import tempfile
from pathlib import Path

import numpy as np

CHECKPOINTS = Path(__file__).parent / "checkpoints"
OUT_TYPES = ["f32", "f16", "bf16", "q8_0", "auto"]
PRE = {"llama": "llama-bpe", "stablelm": "stablelm2", "gpt_neox": "olmo"}


def load_converter(tree: Path):
    sys.path[:0] = [str(tree), str(tree / "gguf-py")]
    import convert_hf_to_gguf
    from conversion import ModelBase, TextModel
    from conversion.stablelm import StableLMModel

    read = ModelBase.load_hparams

    def load_hparams(dir_model, is_mistral_format):
        config = read(dir_model, is_mistral_format)
        if config.get("model_type") == "gpt_neox" and "rotary_pct" not in config:
            config["rotary_pct"] = config["rope_parameters"]["partial_rotary_factor"]
        return config

    modify = StableLMModel.modify_tensors

    def modify_tensors(self, tensor, name, layer):
        stacked = yield from modify(self, tensor, name, layer)
        if stacked is not None:
            yield from stacked

    StableLMModel.modify_tensors = modify_tensors
    ModelBase.load_hparams = staticmethod(load_hparams)
    TextModel.get_vocab_base_pre = lambda self, _: PRE[self.hparams["model_type"]]
    return convert_hf_to_gguf


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def values_digest(kind: str, values: list) -> str:
    """Hash of an array's values: strings as UTF-8, each followed by a zero byte; numbers little-endian."""
    if kind == "STRING":
        return digest(b"".join(v.encode() + b"\0" for v in values))
    kinds = {"FLOAT32": "<f4", "FLOAT64": "<f8", "BOOL": "u1"}
    dtype = kinds.get(kind) or "<" + ("i" if kind[0] == "I" else "u") + str(int(kind.strip("UINT")) // 8)
    return digest(np.array(values, dtype=dtype).tobytes())


def describe(path: Path) -> dict:
    from gguf import GGUFReader

    reader, keys = GGUFReader(path), []
    for key, field in reader.fields.items():
        if key.startswith("GGUF."):  # the counts of the header itself
            continue
        kinds, value = [t.name for t in field.types], field.contents()
        if kinds[0] == "ARRAY":
            keys.append([key, "ARRAY", kinds[-1], len(value), values_digest(kinds[-1], value)])
        else:
            keys.append([key, kinds[0], value])
    tensors = [
        [t.name, t.tensor_type.name, [int(n) for n in t.shape], digest(t.data.tobytes())]
        for t in reader.tensors
    ]
    return {"keys": keys, "tensors": tensors}


def convert(converter, folder: Path, out_type: str) -> dict:
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "model.gguf"
        argv, sys.argv = sys.argv, ["convert", str(folder), "--outfile", str(out), "--outtype", out_type]
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                converter.main()
            return describe(out)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
        finally:
            sys.argv = argv


def compact(told: dict) -> str:
    """One key or tensor per line."""
    parts = []
    for out_type, entry in told.items():
        lists = []
        for name, rows in entry.items():
            if isinstance(rows, str):
                lists.append(f"  {json.dumps(name)}: {json.dumps(rows)}")
                continue
            lines = ",\n".join("   " + json.dumps(row, ensure_ascii=False) for row in rows)
            lists.append(f'  "{name}": [\n{lines}\n  ]')
        parts.append(f' "{out_type}": {{\n' + ",\n".join(lists) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("tree", type=Path)
    args.add_argument("--only", action="append", metavar="NAME")
    args = args.parse_args()
    converter = load_converter(args.tree.resolve())
    for folder in sorted(CHECKPOINTS.iterdir()):
        if args.only and folder.name not in args.only:
            continue
        told = {out_type: convert(converter, folder, out_type) for out_type in OUT_TYPES}
        (folder / "golden" / "oracle.json").write_text(compact(told), encoding="utf-8")
        counts = {t: e.get("error") or f"{len(e['keys'])} keys, {len(e['tensors'])} tensors" for t, e in told.items()}
        print(folder.name, counts, flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    main()
