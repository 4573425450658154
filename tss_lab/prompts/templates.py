"""How a prompt reads: the templates, and their form as chat templates for others to use."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tss_lab.errors import ConfigError

_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)


@dataclass(frozen=True)
class Template:
    """How a prompt reads. ``{instruction}`` and ``{input}`` stand once in ``with_input``.

    The chat template has no text of its own: the tokenizer's is used, and is part of its fingerprint.
    """

    name: str
    with_input: str
    without_input: str
    response_header: str
    chat: bool = False

    def identity(self) -> dict[str, Any]:
        """What the likelihood fingerprint covers."""
        return {
            "name": self.name,
            "with_input": self.with_input,
            "without_input": self.without_input,
            "chat": self.chat,
        }


TEMPLATES: dict[str, Template] = {
    template.name: template
    for template in (
        Template(
            "alpaca",
            f"{_WITH_INPUT}\n\n### Instruction:\n{{instruction}}\n\n### Input:\n{{input}}\n\n### Response:\n",
            f"{_WITHOUT_INPUT}\n\n### Instruction:\n{{instruction}}\n\n### Response:\n",
            "### Response:\n",
        ),
        Template(
            "input_first",
            f"{_WITH_INPUT}\n\n### Input:\n{{input}}\n\n### Instruction:\n{{instruction}}\n\n### Response:\n",
            f"{_WITHOUT_INPUT}\n\n### Instruction:\n{{instruction}}\n\n### Response:\n",
            "### Response:\n",
        ),
        Template("plain", "{instruction}\n\n{input}\n\n", "{instruction}\n\n", ""),
        Template("chat", "{instruction}\n\n{input}", "{instruction}", "", chat=True),
    )
}


def get_template(name: str) -> Template:
    """Raises ConfigError for a name that isn't there."""
    if name not in TEMPLATES:
        raise ConfigError(f"scoring.template={name} is not known; take one of {', '.join(TEMPLATES)}")
    return TEMPLATES[name]


# What stands before the last user turn is the input: a lone system turn word for word, more than that as the
# reader of conversations (dataset=chat) writes it.
_JINJA = """\
{%- set turns = messages[:-1] if messages[-1]['role'] == 'assistant' else messages -%}
{%- if not turns or turns[-1]['role'] != 'user' -%}
    {{- raise_exception('the turn to answer must be the user\\'s: it is the instruction') -}}
{%- endif -%}
{%- set instruction = turns[-1]['content'] -%}
{%- set before = namespace(text='') -%}
{%- if turns | length == 2 and turns[0]['role'] == 'system' -%}
    {%- set before.text = turns[0]['content'] -%}
{%- else -%}
    {%- for turn in turns[:-1] -%}
        {%- set gap = '' if loop.first else '\\n\\n' -%}
        {%- set before.text = before.text ~ gap ~ (turn['role'] | capitalize) ~ ': ' ~ turn['content'] -%}
    {%- endfor -%}
{%- endif -%}
{%- set input = before.text -%}
{{- BEGINNING -}}
{%- if input -%}
    {{- WITH_INPUT -}}
{%- else -%}
    {{- WITHOUT_INPUT -}}
{%- endif -%}
{%- if messages[-1]['role'] == 'assistant' -%}
    {{- RESPONSE_HEADER ~ messages[-1]['content'] ~ eos_token -}}
{%- elif add_generation_prompt -%}
    {{- RESPONSE_HEADER -}}
{%- endif -%}
"""


def as_chat_template(template: Template, beginning: str) -> str:
    """A template of text as a chat template in Jinja: the user's turn is the instruction, a system turn the input.

    Args:
        beginning: the Jinja expression of what stands before the text, such as ``bos_token``.
    """
    header = template.response_header
    forms = {
        "BEGINNING": beginning,
        "WITHOUT_INPUT": _expression(template.without_input.removesuffix(header)),
        "WITH_INPUT": _expression(template.with_input.removesuffix(header)),
        "RESPONSE_HEADER": json.dumps(header),
    }
    return re.sub("|".join(forms), lambda found: forms[found[0]], _JINJA)


def _expression(form: str) -> str:
    """``a {instruction}`` as the Jinja expression ``"a " ~ instruction``."""
    pieces = re.split(r"\{(instruction|input)\}", form)
    return " ~ ".join(piece if number % 2 else json.dumps(piece) for number, piece in enumerate(pieces) if piece)
