"""Writes torch_like.bin: an archive as torch.save writes a state dict, by Python's own pickle and zipfile, without torch.

Classes with torch's names stand in for torch's: pickle writes the same instructions for them. `python3 torch_like.py`
writes the file; its tensors are the table at the end.
"""

import collections
import io
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path


def module(name):
    sys.modules[name] = types.ModuleType(name)
    return sys.modules[name]


torch, utils = module("torch"), module("torch._utils")
for kind in ("Float", "Half", "BFloat16", "Bool", "Long"):
    name = kind + "Storage"
    setattr(torch, name, type(name, (), {"__module__": "torch"}))


def _rebuild_tensor_v2(*arguments):
    raise NotImplementedError


def _rebuild_parameter(*arguments):
    raise NotImplementedError


for function in (_rebuild_tensor_v2, _rebuild_parameter):
    function.__module__ = "torch._utils"
    setattr(utils, function.__name__, function)


class Storage:
    def __init__(self, kind, key, count):
        self.id = ("storage", getattr(torch, kind + "Storage"), key, "cpu", count)


class Tensor:
    def __init__(self, storage, offset, size, stride, parameter=False):
        self.arguments = (storage, offset, size, stride, False, collections.OrderedDict())
        self.parameter = parameter

    def __reduce__(self):
        if self.parameter:
            plain = Tensor(*self.arguments[:4])
            return utils._rebuild_parameter, (plain, True, collections.OrderedDict())
        return utils._rebuild_tensor_v2, self.arguments


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.id if isinstance(value, Storage) else None


def aligned(archive, name, content):
    """Stored at a multiple of 64, by an extra field of padding as torch has it."""
    info = zipfile.ZipInfo(name)
    at = archive.fp.tell() + 30 + len(name) + 4
    padding = -at % 64
    info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    archive.writestr(info, content, zipfile.ZIP_STORED)


weights = Storage("Float", "0", 12)
state = collections.OrderedDict()
state["embed.weight"] = Tensor(weights, 0, (2, 3), (3, 1), parameter=True)
state["head.weight"] = Tensor(weights, 0, (2, 3), (3, 1))
state["rest.weight"] = Tensor(weights, 6, (6,), (1,))
state["norm.weight"] = Tensor(Storage("Half", "1", 4), 0, (4,), (1,))
state["scale"] = Tensor(Storage("BFloat16", "2", 1), 0, (), ())
state["mask"] = Tensor(Storage("Bool", "3", 4), 0, (1, 1, 2, 2), (4, 4, 2, 1))
state["steps"] = Tensor(Storage("Long", "4", 1), 0, (), ())
state._metadata = collections.OrderedDict([("", {"version": 1}), ("embed", {"version": 1})])

content = {
    "0": struct.pack("<12f", *range(12)),
    "1": struct.pack("<4e", *range(4)),
    "2": b"\x80\x3f",
    "3": bytes([1, 0, 1, 1]),
    "4": struct.pack("<q", 100000),
}
out = io.BytesIO()
Pickler(out, protocol=2).dump(state)
with zipfile.ZipFile(Path(__file__).with_name("torch_like.bin"), "w") as archive:
    aligned(archive, "archive/data.pkl", out.getvalue())
    aligned(archive, "archive/byteorder", b"little")
    for key, bytes_ in content.items():
        aligned(archive, f"archive/data/{key}", bytes_)
    aligned(archive, "archive/version", b"3\n")
