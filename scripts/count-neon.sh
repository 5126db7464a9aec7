#!/usr/bin/env bash
# Instructions that a block of a row takes in q4_K by q8_K on NEON, counted in the disassembly of the program for the
# Raspberry Pi 5 (make cross TARGET=raspberry-pi-5): siskin's kernel on weights as they are, and ggml's on repacked ones.
# Of each function the loop over blocks is counted, which is the one that holds the most `sdot`; time is not measured.
#
#   scripts/count-neon.sh
set -euo pipefail
cd "$(dirname "$0")/.."
program=target/cross/raspberry-pi-5/aarch64-unknown-linux-gnu/dist/siskin
[[ -e $program ]] || { echo "count-neon: $program is not there; run make cross TARGET=raspberry-pi-5" >&2; exit 1; }
aarch64-linux-gnu-objdump -d --no-show-raw-insn "$program" | python3 -c '
import re, sys

# A part of the name, and blocks that one turn of the loop takes: four rows, eight interleaved rows.
KERNELS = [("siskin, as in the file", r"neon4q4_k3run", 4), ("ggml, repacked", r"^ggml_gemv_q4_K_8x4_q8_K$", 8)]
functions, name = {}, None
for line in sys.stdin:
    if found := re.match(r"^[0-9a-f]+ <(.*)>:$", line):
        name = next((what for what, part, _ in KERNELS if re.search(part, found[1])), None)
    elif name and (found := re.match(r"^ *([0-9a-f]+):\s+(\S+)\s*(.*)", line)):
        functions.setdefault(name, []).append((int(found[1], 16), found[2], found[3]))
print("| q4_K by q8_K | instructions a block and row | of them prefetching |\n| --- | ---: | ---: |")
for what, _, blocks in KERNELS:
    code = functions.get(what)
    if not code:
        sys.exit(f"count-neon: the program holds no kernel for: {what}")
    loops = []
    for at, op, text in code:
        target = re.search(r"\b([0-9a-f]+) <", text)
        if re.match(r"b$|b\.|cbn?z|tbn?z", op) and target and code[0][0] <= int(target[1], 16) < at:
            body = [o for a, o, _ in code if int(target[1], 16) <= a <= at]
            loops.append((-body.count("sdot"), len(body), body))
    _, length, body = min(loops)
    hints = body.count("prfm")
    print(f"| {what} | {length / blocks:.1f} | {hints / blocks:.1f} |")
'
