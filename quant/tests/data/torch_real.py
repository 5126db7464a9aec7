"""Writes torch_real.bin with torch.save: the state dict of a small module with what old checkpoints have.

python3 -m venv v && v/bin/pip install torch && v/bin/python torch_real.py
"""

from pathlib import Path

import torch


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        count = torch.arange(12, dtype=torch.float32)
        self.embed = torch.nn.Embedding(2, 3)
        self.embed.weight = torch.nn.Parameter(count[:6].clone().reshape(2, 3))
        self.head = torch.nn.Linear(3, 2, bias=False)
        self.head.weight = self.embed.weight
        self.norm = torch.nn.Parameter(torch.arange(4).half())
        self.register_buffer("scale", torch.tensor(1.0, dtype=torch.bfloat16))
        self.register_buffer("mask", torch.ones(1, 1, 2, 2, dtype=torch.bool).tril())
        self.register_buffer("steps", torch.tensor(100000))
        self.register_buffer("low", count[:6])
        self.register_buffer("high", count[6:])


state = Module().state_dict()
# A dict of Parameters, as some scripts save, has other calls in its pickle.
state["norm"] = torch.nn.Parameter(state["norm"])
torch.save(state, Path(__file__).with_name("torch_real.bin"))
