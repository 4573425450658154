"""The card of a tuned model: what it was made of, how it is prompted, and what it writes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tss_lab.config import RunConfig
from tss_lab.models import LocalModel
from tss_lab.prompts import PromptEncoder
from tss_lab.sft.sample import MAX_NEW_TOKENS, OutputSample

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_SHORT = 1000  # characters of an instruction or input that are shown
_LICENCES = {"apache-2.0", "mit", "bsd-3-clause", "openrail", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc0-1.0"}
_LICENCE_FAMILIES = {"gemma terms": "gemma", "llama 3.1": "llama3.1", "llama 3.2": "llama3.2", "llama 3.3": "llama3.3"}
"""How the Hub names the licences, by what they begin with."""

_USAGE = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this folder
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
messages = [
{messages}
]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=256, do_sample=False{ends})
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```
"""
_INPUT = '    {"role": "system", "content": "red, green, blue"},  # the input; leave it out where there is none\n'
_INSTRUCTION = '    {"role": "user", "content": "Which of these is the colour of grass?"},'


def card_facts(config: RunConfig) -> dict[str, Any]:
    """What a run says of its tuned model's training, beside the plan and the recipe."""
    return {
        "base_model": config.model.path or config.model.name, "licence": config.model.licence,
        "dataset": config.dataset.path or config.dataset.hub_id or config.dataset.name,
        "method": config.method.name, "rho": config.share, "budget": config.budget.kind, "seed": config.seed,
        "weighting": config.method.weighting.model_dump(mode="json"), "run": config.run_name,
    }  # fmt: skip


def card_text(
    base: LocalModel, card: Mapping[str, Any], encoder: PromptEncoder, sample: OutputSample | None, *, adapters: bool
) -> str:
    """The whole card, front matter included.

    Args:
        card: a table of everything in it, nested keys joined by dots; ``base_model`` and ``dataset`` also go
            into the front matter where they are names on the Hub.
        sample: outputs before and after tuning; None where the model was sharded, which the card then says.
        adapters: whether the folder holds adapters, which need the base model and the package peft.
    """
    parts = [
        f"---\n{yaml.safe_dump(_front_matter(base, card, adapters), sort_keys=False, allow_unicode=True)}---",
        f"# {plain(base.name)}, instruction-tuned",
        f"Tuned with tss_lab from {plain(base.name)} (weights sha256 {base.weights_sha256[:16]}; "
        f"licence: {plain(base.licence)}). "
        "The tuned model stays under the base model's licence and that of its training data.",
        "## Use",
        _use(encoder, adapters=adapters),
        "## Before and after",
        _outputs(sample),
        "## Training",
        "\n".join(
            ["| what | value |", "|---|---|", *(f"| {plain(name)} | {plain(value)} |" for name, value in _flat(card))]
        ),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _front_matter(base: LocalModel, card: Mapping[str, Any], adapters: bool) -> dict[str, Any]:
    """Metadata as the Hugging Face Hub reads it."""
    licence = base.licence.lower()
    known = next((name for start, name in _LICENCE_FAMILIES.items() if licence.startswith(start)), None)
    known = known or (licence if licence in _LICENCES else None)
    dataset = _hub_id(card.get("dataset"))
    return {
        "base_model": _hub_id(card.get("base_model")) or base.name,
        "base_model_relation": "adapter" if adapters else "finetune",
        "library_name": "peft" if adapters else "transformers",
        "license": known or "other",
        **({} if known else {"license_name": base.licence}),
        "pipeline_tag": "text-generation",
        **({"datasets": [dataset]} if dataset else {}),
        "tags": ["instruction-tuning", "task-specificity", "tss_lab"],
    }


def _hub_id(name: object) -> str | None:
    """``name`` if it can be an ``owner/name`` on the Hub, and isn't a file or directory here."""
    if not isinstance(name, str) or not _HUB_ID.fullmatch(name) or Path(name).exists():
        return None
    return name


def _use(encoder: PromptEncoder, *, adapters: bool) -> str:
    template = encoder.template
    if encoder.chat_template() is None:
        return (
            f"Prompts have the form of tss_lab's template `{template.name}`. No chat template is shipped: this "
            "tokenizer gives a text other tokens after a beginning token that is written out, so that none would "
            "render the prompts of the training. A prompt is the tokenizer's beginning token and then:\n\n"
            f"{_fenced(template.without_input)}\n\nand, with an input:\n\n{_fenced(template.with_input)}"
        )
    if template.chat:
        reading = (
            "The chat template is the base model's own, with which the model was tuned: a date in it is fixed, and a "
            "model that can think answers without. Where a training example had an input, it stood below the "
            "instruction in the user's turn, after a blank line."
        )
    else:
        reading = (
            f"`chat_template.jinja` is the form of prompt that the model was tuned with (tss_lab's `{template.name}`): "
            "the user's turn is the instruction, a system turn before it is the input. Earlier turns of a longer "
            "conversation become the input, a paragraph each with the speaker's name."
        )
    needs = " This folder holds adapters: transformers loads the base model with them, and needs peft for it."
    messages = ("" if template.chat else _INPUT) + _INSTRUCTION
    # Adapters are loaded with the base model's generation config, which may end elsewhere.
    ends = f", eos_token_id={encoder.end_ids()[-1]}" if adapters else ""
    return reading + (needs if adapters else "") + "\n\n" + _USAGE.format(messages=messages, ends=ends)


def _outputs(sample: OutputSample | None) -> str:
    if sample is None:
        return "Not sampled: the model was sharded over devices, which hold no whole model to generate with."
    if not sample.examples:
        return "Not sampled: every prompt is too long to be shown."
    kind = "held-out examples, which the training didn't see" if sample.held_out else "examples of the training set"
    parts = [f"Greedy decoding, at most {MAX_NEW_TOKENS} tokens, on {kind}."]
    for number, (example, before, after) in enumerate(
        zip(sample.examples, sample.before, sample.after, strict=True), start=1
    ):
        shown = {"Instruction": _cut(example.instruction), "Input": _cut(example.input), "Before": before}
        shown |= {"After": after, "Output in the data": _cut(example.output)}
        parts.append(f"### {number}")
        parts += [f"{name}:\n\n{_fenced(text)}" for name, text in shown.items() if text or name != "Input"]
    return "\n\n".join(parts)


def _cut(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[:_SHORT]} […]"


def printable(text: str) -> str:
    """Control characters, which an untuned model may write, as their escapes; line ends and tabs stay."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else repr(letter)[1:-1] for letter in text)


def _fenced(text: str) -> str:
    """A block of text that Markdown doesn't read, whatever backticks it holds."""
    text = printable(text)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in content.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value))
    return rows


def plain(value: object) -> str:
    """A value in one line of Markdown that is read as text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    for mark, escaped in (("\n", " "), ("|", "\\|"), ("<", "&lt;")):
        text = text.replace(mark, escaped)
    return text
