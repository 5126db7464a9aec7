#!/usr/bin/env python3
"""Writes gguf_py.gguf beside this script with llama.cpp's gguf-py: every value type, three tensors of zeros."""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGUFValueType as T

writer = gguf.GGUFWriter(Path(__file__).with_suffix(".gguf"), "llama")
writer.add_custom_alignment(64)
SCALARS = {T.UINT8: 200, T.INT8: -3, T.UINT16: 60000, T.INT16: -300, T.UINT32: 1 << 31, T.INT32: -70000,
           T.FLOAT32: 0.1, T.UINT64: 1 << 63, T.INT64: -(1 << 40), T.FLOAT64: 1e300, T.BOOL: True}
for ty, value in SCALARS.items():
    writer.add_key_value(f"one.{ty.name}", value, ty)
for ty, value in SCALARS.items():
    writer.add_key_value(f"many.{ty.name}", [value, type(value)(1)], T.ARRAY, sub_type=ty)
writer.add_array("many.STRING", ["▁a", "", "ß"])
writer.add_tensor("a.weight", np.zeros((3, 8), np.float32))
writer.add_tensor("b.weight", np.zeros((2, 34), np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
writer.add_tensor("c.bias", np.zeros(5, np.float16))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
