"""Tokenizers of the fixtures: one SentencePiece, and three byte-level BPE with the structure of real models.

The three `tokenizer.json` differ from the real ones only in size: normaliser, pre-tokenizer,
post-processor, decoder, the place of special tokens and the spelling of merges are those of StableLM 2,
Pythia and Llama 3.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
SIGNS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def byte_level(add_prefix_space: bool, trim_offsets: bool, use_regex: bool) -> dict:
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space,
            "trim_offsets": trim_offsets, "use_regex": use_regex}


def split_then_bytes(digits: str, behavior: str, invert: bool) -> dict:
    pattern = {"Regex": WORDS + digits + SIGNS}
    split = {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
    return {"type": "Sequence", "pretokenizers": [split, byte_level(False, True, False)]}


@dataclass
class Family:
    """The differences between the byte-level BPE tokenizers."""

    pre_tokenizer: dict
    normalizer: dict | None
    post_processor: dict
    decoder: dict
    head: list[str] = field(default_factory=list)  # special tokens before the bytes
    tail: list[str] = field(default_factory=list)  # special tokens after the merges
    spaces: list[int] = field(default_factory=list)  # runs of spaces as plain added tokens, at the end
    pairs: bool = False  # merges as pairs instead of strings
    ignore_merges: bool | None = None  # None: the key is absent
    bos: str | None = None  # added in front of every text
    tokenizer_config: dict | None = None


def llama3() -> Family:
    return Family(
        pre_tokenizer=split_then_bytes(r"\p{N}{1,3}", "Isolated", False),
        normalizer=None,
        post_processor=byte_level(True, False, True),
        decoder=byte_level(True, True, True),
        tail=["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|eot_id|>"],
        pairs=True,
        ignore_merges=True,
        bos="<|begin_of_text|>",
        tokenizer_config={
            "bos_token": "<|begin_of_text|>",
            "clean_up_tokenization_spaces": True,
            "eos_token": "<|eot_id|>",
            "model_input_names": ["input_ids", "attention_mask"],
            "model_max_length": 256,
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )


def stablelm2() -> Family:
    return Family(
        pre_tokenizer=split_then_bytes(r"\p{N}", "Removed", True),
        normalizer={"type": "NFC"},
        post_processor=byte_level(True, False, True),
        decoder=byte_level(True, True, True),
        tail=["<|reg_extra|>", "<|endoftext|>", "<|fim_prefix|>", "<|im_start|>", "<|im_end|>"],
        tokenizer_config={
            "bos_token": "<|endoftext|>",
            "clean_up_tokenization_spaces": True,
            "eos_token": "<|endoftext|>",
            "model_max_length": 256,
            "pad_token": "<|endoftext|>",
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": "<|endoftext|>",
        },
    )


def pythia() -> Family:
    return Family(
        pre_tokenizer=byte_level(False, True, True),
        normalizer={"type": "NFC"},
        post_processor=byte_level(False, True, True),
        decoder=byte_level(False, True, True),
        head=["<|endoftext|>", "<|padding|>"],
        spaces=[8, 4, 2],
        tokenizer_config={
            "add_prefix_space": False,
            "bos_token": "<|endoftext|>",
            "eos_token": "<|endoftext|>",
            "tokenizer_class": "GPTNeoXTokenizer",
            "unk_token": "<|endoftext|>",
        },
    )


def train_bpe(family: Family, lines: list[str], size: int) -> dict:
    """A `tokenizer.json` of `size` entries, added tokens included."""
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(family.tail) - len(family.spaces),
        special_tokens=family.head,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    base.train_from_iterator(lines, trainer)
    out = json.loads(base.to_str())
    model = out["model"]
    if not family.pairs:
        model["merges"] = [" ".join(pair) for pair in model["merges"]]
    model.pop("ignore_merges", None)
    if family.ignore_merges is not None:
        model["ignore_merges"] = family.ignore_merges
    added = [(model["vocab"][token], token, True) for token in family.head]
    later = [(token, True) for token in family.tail] + [(" " * n, False) for n in family.spaces]
    added += [(len(model["vocab"]) + i, token, special) for i, (token, special) in enumerate(later)]
    out |= {
        "added_tokens": [
            {"id": id, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": not special, "special": special}
            for id, token, special in added
        ],
        "normalizer": family.normalizer,
        "pre_tokenizer": family.pre_tokenizer,
        "post_processor": family.post_processor,
        "decoder": family.decoder,
    }
    if family.bos:
        id = next(id for id, token, _ in added if token == family.bos)
        out["post_processor"] = with_bos(family.post_processor, family.bos, id)
    return out


def with_bos(post_processor: dict, token: str, id: int) -> dict:
    def special(segment):
        return {"SpecialToken": {"id": token, "type_id": segment}}

    def text(name, segment):
        return {"Sequence": {"id": name, "type_id": segment}}

    template = {
        "type": "TemplateProcessing",
        "single": [special(0), text("A", 0)],
        "pair": [special(0), text("A", 0), special(1), text("B", 1)],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    }
    return {"type": "Sequence", "processors": [post_processor, template]}


@dataclass
class Vocabulary:
    """A tokenizer as files, and as the functions that the goldens need."""

    files: dict[str, bytes]
    encode: callable  # text -> ids, nothing added
    decode: callable  # ids -> text
    bos: int | None  # the token that the tokenizer adds in front of a prompt
    ids: dict[str, int]  # special tokens by name
    size: int  # ids from here on are padding of the embedding


def from_sentencepiece(model: bytes, context: int) -> Vocabulary:
    sp = sentencepiece.SentencePieceProcessor(model_proto=model)
    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "</s>",
        "legacy": False,
        "model_max_length": context,
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
    }
    files = {"tokenizer.model": model, "tokenizer_config.json": pretty(config)}
    return Vocabulary(files, sp.encode, sp.decode, 1, {"<unk>": 0, "<s>": 1, "</s>": 2},
                      sp.vocab_size())


def from_bpe(tokenizer: dict, family: Family) -> Vocabulary:
    t = Tokenizer.from_str(json.dumps(tokenizer))
    ids = {a["content"]: a["id"] for a in tokenizer["added_tokens"] if a["special"]}
    files = {"tokenizer.json": pretty(tokenizer)}
    if family.tokenizer_config:
        files["tokenizer_config.json"] = pretty(family.tokenizer_config)
    return Vocabulary(
        files,
        lambda text: t.encode(text, add_special_tokens=False).ids,
        lambda row: t.decode(row, skip_special_tokens=True),
        ids.get(family.bos),
        ids,
        t.get_vocab_size(),
    )


def pretty(value) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def write(vocabulary: Vocabulary, folder: Path):
    for name, data in vocabulary.files.items():
        (folder / name).write_bytes(data)
