"""Validates texts that were written under a mask with Python's jsonschema, an independent reader of schemas.

    pip install 'jsonschema[format]'
    cargo build --release -p siskin-grammar --example oracle
    python grammar/tests/data/oracle.py target/release/examples/oracle [SCHEMAS] [SEED]

Schemas are made by chance. It fails if a text does not validate, or a process dies.
"""

import json
import random
import subprocess
import sys
from collections import Counter

from jsonschema import Draft202012Validator

NAMES = ["a", "b", "name", "x y", "ü", "a/b", "q\"t", "id", "type", "title"]
FORMATS = ["date", "time", "date-time", "uuid", "ipv4", "email", "hostname", "duration", "ipv6", "uri"]
PATTERNS = ["^[a-z]{1,4}$", "x", "^(ab|c)+$", "[0-9]$", "^\\d{3}-\\w+$", "^[^,]*,[^,]*$", "\\.", "^$|^z"]


class Maker:
    def __init__(self, rng):
        self.rng = rng
        self.definitions = {}

    def schema(self, depth):
        rng = self.rng
        kinds = [self.string, self.number, self.integer, self.enum, self.const, self.simple, self.string_rule]
        if depth > 0:
            kinds += [self.object, self.object, self.array, self.tuple, self.any_of, self.one_of, self.all_of]
            kinds += [self.ref, self.types, self.nullable, self.map]
        return rng.choice(kinds)(depth - 1)

    def string(self, _):
        schema = {"type": "string"}
        if self.rng.random() < 0.5:
            low = self.rng.randint(0, 4)
            schema["minLength"] = low
            schema["maxLength"] = low + self.rng.randint(0, 6)
        return schema

    def string_rule(self, _):
        if self.rng.random() < 0.5:
            return {"type": "string", "format": self.rng.choice(FORMATS)}
        schema = {"type": "string", "pattern": self.rng.choice(PATTERNS)}
        if self.rng.random() < 0.1:
            schema = {"type": "string", "pattern": "1", "format": "date"}
        if self.rng.random() < 0.3:
            schema["maxLength"] = self.rng.randint(3, 12)
        return schema

    def bounds(self, whole):
        rng, schema = self.rng, {}
        low = rng.choice([-1000, -10, -1, 0, 1, 7, 99, -0.5, 0.125, 12.75, 1e-3, -3.14159])
        span = rng.choice([1, 2, 10, 1000, 0.5, 0.25, 123456])
        if whole:
            low, span = int(low), max(1, int(span))
        if rng.random() < 0.6:
            schema[rng.choice(["minimum", "exclusiveMinimum"])] = low
        if rng.random() < 0.6:
            schema[rng.choice(["maximum", "exclusiveMaximum"])] = low + span + (1 if whole else 0)
        return schema

    def number(self, _):
        return {"type": "number", **self.bounds(False)}

    def integer(self, _):
        schema = {"type": "integer", **self.bounds(True)}
        if self.rng.random() < 0.3:
            schema["multipleOf"] = self.rng.choice([2, 3, 5, 10, 7])
            schema.pop("minimum", None), schema.pop("exclusiveMinimum", None)
        return schema

    def value(self, depth=1):
        rng = self.rng
        values = [None, True, False, 0, -1, 42, 2**53 - 1, 0.5, -12.25, 1e-5, 1.5e10, "", "x", "a\"b\\c", "ü\n\t", "é/😀"]
        if depth and rng.random() < 0.2:
            return [self.value(0) for _ in range(rng.randint(0, 3))]
        if depth and rng.random() < 0.2:
            return {rng.choice(NAMES): self.value(0) for _ in range(rng.randint(0, 2))}
        return rng.choice(values)

    def enum(self, _):
        return {"enum": [self.value() for _ in range(self.rng.randint(1, 5))]}

    def const(self, _):
        return {"const": self.value()}

    def simple(self, _):
        return self.rng.choice([{"type": "boolean"}, {"type": "null"}, {"type": "integer"}, True, {}])

    def types(self, _):
        return {"type": self.rng.sample(["string", "integer", "null", "boolean", "array", "object"], 2)}

    def nullable(self, depth):
        return {"anyOf": [self.schema(depth), {"type": "null"}]}

    def object(self, depth):
        rng = self.rng
        names = rng.sample(NAMES, rng.randint(0, 4))
        schema = {"type": "object", "properties": {name: self.schema(depth) for name in names}}
        schema["required"] = [name for name in names if rng.random() < 0.5]
        schema["additionalProperties"] = rng.choice([False, False, True, {"type": "integer"}])
        if rng.random() < 0.1:
            schema["patternProperties"] = {"^p_": {"type": "boolean"}}
        if rng.random() < 0.3:
            schema["description"] = "a thing"
        return schema

    def map(self, depth):
        schema = {"type": "object", "additionalProperties": self.schema(depth)}
        if self.rng.random() < 0.4:
            schema["minProperties"] = self.rng.randint(0, 1)
            schema["maxProperties"] = self.rng.randint(1, 3)
        return schema

    def array(self, depth):
        schema = {"type": "array", "items": self.schema(depth)}
        if self.rng.random() < 0.6:
            low = self.rng.randint(0, 2)
            schema["minItems"] = low
            schema["maxItems"] = low + self.rng.randint(0, 3)
        return schema

    def tuple(self, depth):
        schema = {"type": "array", "prefixItems": [self.schema(depth) for _ in range(self.rng.randint(1, 3))]}
        schema["items"] = self.rng.choice([False, {"type": "null"}])
        if self.rng.random() < 0.5:
            schema["minItems"] = len(schema["prefixItems"])
        return schema

    def any_of(self, depth):
        return {"anyOf": [self.schema(depth) for _ in range(self.rng.randint(1, 3))]}

    def one_of(self, depth):
        kinds = self.rng.sample(["cat", "dog", "cow"], 2)
        options = []
        for kind in kinds:
            option = self.object(depth)
            option["properties"]["kind"] = {"const": kind}
            option["required"].append("kind")
            name = f"o{len(self.definitions)}"
            if self.rng.random() < 0.5:
                self.definitions[name] = option
                option = {"$ref": f"#/$defs/{name}"}
            options.append(option)
        return {"oneOf": options}

    def all_of(self, depth):
        first, second = self.object(depth), self.object(depth)
        for schema in (first, second):
            schema["additionalProperties"] = True
            schema.pop("patternProperties", None)
        return self.rng.choice([{"allOf": [first, second]}, {**first, "allOf": [second]}])

    def ref(self, depth):
        if self.definitions and self.rng.random() < 0.5:
            return {"$ref": f"#/$defs/{self.rng.choice(sorted(self.definitions))}"}
        name = f"d{len(self.definitions)}"
        self.definitions[name] = {"type": "null"}
        self.definitions[name] = self.schema(depth)
        return {"$ref": f"#/$defs/{name}"}


def make(rng):
    maker = Maker(rng)
    schema = maker.schema(rng.randint(1, 4))
    if maker.definitions:
        schema = {"allOf": [schema]} if not isinstance(schema, dict) else schema
        schema = {**schema, "$defs": maker.definitions}
    return schema


def main():
    program, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 500
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    schemas = [make(rng) for _ in range(count)]
    for schema in schemas:
        Draft202012Validator.check_schema(schema)
    lines = "".join(json.dumps({"schema": schema}) + "\n" for schema in schemas)
    answers = subprocess.run([program], input=lines, text=True, capture_output=True, check=True).stdout.split("\n")[:-1]
    assert len(answers) == count
    errors, valid, unfinished, wrong, silent = Counter(), 0, 0, 0, 0
    for schema, line in zip(schemas, answers):
        answer = json.loads(line)
        if "error" in answer:
            errors[answer["kind"] + " " + answer["error"][:90]] += 1
            continue
        unfinished += answer["unfinished"]
        silent += not answer["texts"]
        validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        for text in answer["texts"]:
            try:
                problems = [error.message for error in validator.iter_errors(json.loads(text))]
            except ValueError as error:
                problems = [str(error)]
            except RecursionError:
                # A reference to itself without anything between; jsonschema does not come back from it.
                continue
            if problems:
                wrong += 1
                print("WRONG", json.dumps(schema), text, problems[0][:200], sep="\n  ")
            valid += not problems
    print(f"{count} schemas: {sum(errors.values())} refused, {silent} without a finished text")
    print(f"{valid} texts are valid, {wrong} are not, {unfinished} were not finished")
    for error, times in errors.most_common():
        print(f"  {times} × {error}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
