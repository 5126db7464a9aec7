"""Make the list of keys that transformers' configuration classes read or write, for the three architectures.

    python tests/data/config_keys.py transformers-4.30.2-py3-none-any.whl transformers-5.24.0-py3-none-any.whl ...

Reads the source text of released wheels (`pip download --no-deps transformers==VERSION`) and runs none of it: names
of parameters and of attributes of the class and of its base class, names that the base class takes from `kwargs`,
and the names of rope's parameters. Writes `model/tests/data/config_keys.json`.
"""

import ast
import json
import sys
import zipfile
from pathlib import Path

OUT = Path(__file__).parents[2] / "model/tests/data/config_keys.json"
CLASSES = {
    "llama": ("transformers/models/llama/configuration_llama.py", "LlamaConfig"),
    "stablelm": ("transformers/models/stablelm/configuration_stablelm.py", "StableLmConfig"),
    "gptneox": ("transformers/models/gpt_neox/configuration_gpt_neox.py", "GPTNeoXConfig"),
}
BASE = ("transformers/configuration_utils.py", ("PretrainedConfig", "PreTrainedConfig"))
GENERATION = ("_get_default_generation_params", "_get_global_generation_defaults", "_get_generation_defaults")
ROPE = "transformers/modeling_rope_utils.py"
# Attributes of the class, not of a configuration: plans of parallel computing, and the machinery's own.
NOT_KEYS = {"self", "kwargs", "key", "name", "value", "_post_init_done", "_output_attentions", "rope_type"}


def tree(wheel: zipfile.ZipFile, path: str):
    return ast.parse(wheel.read(path)) if path in wheel.namelist() else ast.Module([], [])


def class_of(module, names):
    names = (names,) if isinstance(names, str) else names
    return next((n for n in module.body if isinstance(n, ast.ClassDef) and n.name in names), ast.Module([], []))


def keys_of(node) -> set[str]:
    found = set()
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and "ClassVar" not in ast.unparse(statement.annotation):
            found.add(statement.target.id)
        if isinstance(statement, ast.FunctionDef) and statement.name in ("__init__", "__post_init__"):
            arguments = statement.args
            found |= {argument.arg for argument in arguments.args + arguments.kwonlyargs}
            for inner in ast.walk(statement):
                found |= assigned(inner) | popped(inner)
        if isinstance(statement, ast.FunctionDef) and statement.name.startswith("convert_rope"):
            for inner in ast.walk(statement):
                found |= popped(inner)
    return found


def assigned(node) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {t.attr for t in targets if isinstance(t, ast.Attribute) and ast.unparse(t.value) == "self"}


def popped(node) -> set[str]:
    """`kwargs.pop("name")`, `kwargs.get("name")`, `kwargs.setdefault("name", …)`."""
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
    if is_call and ast.unparse(node.func.value) == "kwargs" and isinstance(node.args[0], ast.Constant):
        return {node.args[0].value}
    return set()


def generation_keys(module) -> set[str]:
    functions = [n for n in ast.walk(module) if isinstance(n, ast.FunctionDef) and n.name in GENERATION]
    dicts = [n for f in functions for n in ast.walk(f) if isinstance(n, ast.Dict)]
    return {key.value for d in dicts for key in d.keys if isinstance(key, ast.Constant)}


def rope_keys(module) -> set[str]:
    parameters = class_of(module, "RopeParameters")
    return {s.target.id for s in parameters.body if isinstance(s, ast.AnnAssign)}


def main():
    versions, rope = [], {"rope_type", "type"}
    keys = {arch: set() for arch in CLASSES}
    for path in sys.argv[1:]:
        wheel = zipfile.ZipFile(path)
        versions.append(Path(path).name.split("-")[1])
        base_module = tree(wheel, BASE[0])
        common = keys_of(class_of(base_module, BASE[1])) | generation_keys(base_module)
        common |= generation_keys(tree(wheel, "transformers/generation/configuration_utils.py"))
        rope |= rope_keys(tree(wheel, ROPE))
        for arch, (source, name) in CLASSES.items():
            keys[arch] |= common | keys_of(class_of(tree(wheel, source), name))
    lists = {arch: sorted(found - NOT_KEYS) for arch, found in keys.items()}
    out = {"transformers": sorted(versions, key=lambda v: [int(n) for n in v.split(".")]), "rope": sorted(rope), **lists}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(out, indent=1) + "\n")


main()
