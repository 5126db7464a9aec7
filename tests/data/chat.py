"""Goldens of chat templates: what transformers' apply_chat_template gives.

    python tests/data/chat.py ../shared/data/tokenizers     # writes tests/data/chat.json

The real templates are not copied: only length, SHA-256 and token ids of their texts are stored. `own` contains
templates written for this project, with their full texts.
"""

import datetime as dates
import hashlib
import json
import sys
from pathlib import Path

from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

TODAY = dates.datetime(2024, 7, 26, 12, 30)
MODELS = ["tinyllama-1.1b-chat", "llama-3.2-1b-instruct", "stablelm-2-zephyr-1_6b"]


class Today(dates.datetime):
    @classmethod
    def now(cls, tz=None):
        return TODAY


def system(text):
    return {"role": "system", "content": text}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


CONVERSATIONS = {
    "question": [user("Why is the sky blue?")],
    "system": [system("You are a pirate."), user("Hello")],
    "turns": [
        system("Be brief."),
        user("One and one?"),
        assistant("Two."),
        user("And one more?"),
        assistant("Three."),
        user("Thanks"),
    ],
    "blanks": [system("  spaced\n"), user("\n\n  in front and behind \t\n"), assistant(" so "), user(" ")],
    "empty": [user("")],
    "unicode": [user("naïve 🦜 日本語 \u00a0 \u200b")],
    "jinja": [user("{{ messages }} {% raise %} {# no #}")],
    "code": [user("```py\nif a < b and c > d:\n\tprint('|>' + \"<|\")\n```\n"), assistant("ok"), user("<s [INST] <<SYS>>")],
}

OWN = {
    "blocks": "{% for message in messages %}\n    {% if message.role == 'user' %}\n<u>{{ message.content }}</u>\n"
    "    {% else %}\n<{{ message['role'] }}>{{- message['content'] -}}\n    {% endif %}\n{% endfor %}\n"
    "{% if add_generation_prompt %}\n<assistant>\n{% endif %}\n",
    "namespace": "{% set ns = namespace(n=0, last='') %}{% for m in messages %}{% if m.role == 'user' %}"
    "{% set ns.n = ns.n + 1 %}{% set ns.last = m.content %}{% endif %}{% endfor %}{{ ns.n }}:{{ ns.last }}",
    "loop": "{% for m in messages %}{% if loop.first %}F{% endif %}{% if m.role == 'assistant' %}{% continue %}{% endif %}"
    "{{ loop.index0 }}{{ m.role[0] }}{% if loop.index > 3 %}{% break %}{% endif %}{{ ',' if not loop.last }}{% endfor %}",
    "methods": "{{ messages[0].content.strip().split(' ')[-1].upper() }}|{{ messages[-1]['content'].startswith('T') }}|"
    "{{ messages[0].content.replace('e', 'E').rstrip('.') }}|{{ messages[0].get('name') }}|"
    "{{ messages[0].content.lstrip('B').title() }}|{{ messages[0].content.endswith('f.') }}|"
    "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}",
    "tojson": "{{ messages | tojson }}|{{ messages[0] | tojson(indent=2) }}|{{ {'b': [1, 2.5, none, true], 'a': '<é\\n\"'} "
    "| tojson(sort_keys=true, ensure_ascii=true) }}|{{ [] | tojson(indent=4) }}|{{ [1, {}] | tojson(separators=(',', ':')) }}",
    "values": "{{ none }} {{ true }} {{ 1 == 2 }} {{ 1.0 }} {{ 7 // 2 }} {{ undefined_name }} {{ 'a' ~ 1 ~ none }} "
    "{{ messages | length }} {{ messages[1:] | length }} {{ messages[::-1][0].role }} {{ 'x' in 'xyz' }} "
    "{{ messages[0].content is string }} {{ bos_token is defined }} {{ tools is defined }} {{ messages is iterable }} "
    "{{ messages | map(attribute='role') | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
    "macro": "{% macro say(m, end='!') %}<{{ m.role }}>{{ m.content | trim }}{{ end }}{% endmacro %}"
    "{% for m in messages %}{{ say(m) }}{{ say(m, end='') }}{% endfor %}",
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}\n{{ m.content }}{% endgeneration %}\n"
    "{%- else -%}\n[{{ m.content }}]{% endif %}{% endfor %}",
    "date": "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M') }} {{ strftime_now('%B, %A') }}",
    "thinking": "{% for m in messages %}{% set c = m.content %}{% if '</think>' in c %}"
    "{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}{{ c }};{% endfor %}",
    "refusing": "{% if messages[0].role == 'system' %}{{ raise_exception('no system prompts here') }}{% endif %}fine",
}

DIALOGUE = [
    system("Be brief."),
    user("One and one?"),
    assistant("<think>\nhm\n</think>\n\nTwo."),
    user("Thanks"),
]


def load(folder):
    """The tokenizer; its end of text is config.json's id if no tokenizer_config.json names it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.eos_token is None:
        end = json.loads((folder / "config.json").read_text())["eos_token_id"]
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    return tokenizer


def golden(tokenizer, messages):
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    data = text.encode()
    return {"messages": messages, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "ids": ids}


def own(tokenizer, template, messages):
    try:
        text = tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=True
        )
    except Exception as error:
        return {"template": template, "refused": str(error)}
    return {"template": template, "text": text}


def main(folder):
    chat_template_utils.datetime = Today
    tokenizers = {name: load(folder / name) for name in MODELS}
    goldens = {
        "real": {
            model: {name: golden(tokenizer, messages) for name, messages in CONVERSATIONS.items()}
            for model, tokenizer in tokenizers.items()
        },
        "dialogue": DIALOGUE,
        "own": {name: own(tokenizers[MODELS[0]], template, DIALOGUE) for name, template in OWN.items()},
    }
    out = Path(__file__).parent / "chat.json"
    out.write_text(json.dumps(goldens, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
