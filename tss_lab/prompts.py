"""Prompt templates, and the one place where a (prompt, target) becomes token ids.

Scoring, training and generation with a tuned model all go through ``PromptEncoder``, so that the ids
a model is scored on are the ids it is trained on and meets in use (docs/method.md, Tokens).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tss_lab.errors import ConfigError, DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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


_FIXED_DATE = "{% macro strftime_now(form) %}26 Jul 2024{% endmacro %}"
"""Some chat templates state today's date; a prompt, and with it each pair's id, must not change overnight."""


def chat_template_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """The tokenizer's chat template, in which every day is the same day."""
    template = str(tokenizer.get_chat_template())
    return _FIXED_DATE + template if "strftime_now" in template else template


def get_template(name: str) -> Template:
    """Raises ConfigError for a name that isn't there."""
    if name not in TEMPLATES:
        raise ConfigError(f"scoring.template={name} is not known; take one of {', '.join(TEMPLATES)}")
    return TEMPLATES[name]


def pair_id(prompt_ids: Sequence[int], target_ids: Sequence[int]) -> str:
    """32 hex letters that name a (prompt, target) pair by its ids."""
    digest = hashlib.sha256(len(prompt_ids).to_bytes(8, "little"))
    digest.update(np.asarray(prompt_ids, dtype=np.int32).tobytes())
    digest.update(np.asarray(target_ids, dtype=np.int32).tobytes())
    return digest.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """The ids of one target under several prompts: every prompt sees the same ``target_ids``."""

    prompt_ids: list[list[int]]
    target_ids: list[int]
    truncated: list[bool]


class PromptEncoder:
    """Turns instructions, inputs and targets into ids, by docs/method.md's token rule.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        template: how the prompt reads.
        max_length: tokens of prompt and target together; None for no limit.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: Template, max_length: int | None):
        self.tokenizer = tokenizer
        self.template = template
        self.max_length = max_length
        self.bos_ids = _beginning_ids(tokenizer)
        if template.chat and not tokenizer.chat_template:
            raise ConfigError(
                "scoring.template=chat, but the model's tokenizer has no chat template; take scoring.template=alpaca"
            )

    def identity(self) -> dict[str, Any]:
        """The token rule, for the likelihood fingerprint."""
        return {
            "template": self.template.identity(),
            "token_rule": f"bos + encode(prompt) + encode(target), version {2 if self.template.chat else 1}",
            "max_length": self.max_length,
        }

    def render(self, instruction: str, input_text: str) -> str:
        """The prompt's text, without a beginning-of-sequence token."""
        return self._render(
            self.template.with_input if input_text else self.template.without_input, instruction, input_text
        )

    def _render(self, form: str, instruction: str, input_text: str) -> str:
        text = form.format(instruction=instruction, input=input_text)
        if not self.template.chat:
            return text
        rendered = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            chat_template=chat_template_of(self.tokenizer), tokenize=False, add_generation_prompt=True,
        )  # fmt: skip
        bos = self.tokenizer.bos_token
        return str(rendered.removeprefix(bos) if bos and self.bos_ids else rendered)

    def prompt_ids(self, instruction: str, input_text: str) -> list[int]:
        """``[BOS] + encode(prompt)``; BOS only where the tokenizer begins sequences with it."""
        return self.bos_ids + self.encode(self.render(instruction, input_text))

    def unconditional_ids(self) -> list[int]:
        """What stands before Y in ℓ(Y): BOS, or the end-of-text token where the model has none."""
        if self.bos_ids:
            return list(self.bos_ids)
        if self.tokenizer.eos_token_id is None:
            raise ConfigError(
                "the tokenizer has neither a beginning-of-sequence nor an end-of-text token, so ℓ(Y) is undefined; "
                "choose a method other than ifd"
            )
        return [int(self.tokenizer.eos_token_id)]

    def encode(self, text: str) -> list[int]:
        """Ids of a text alone, with no special token added."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def encode_example(self, instructions: Sequence[str], input_text: str, output: str) -> EncodedExample:
        """One target under each instruction, cut to the limit (docs/method.md, Too long).

        First X is cut from its left inside each prompt, then Y from its right, to the shortest that
        any prompt leaves room for. Raises DataError when nothing of Y is left.
        """
        target = self.encode(output)
        if not target:
            raise DataError("the output has no tokens")
        prompts, cut = [], []
        for instruction in instructions:
            ids, was_cut = self._fit(instruction, input_text, len(target))
            prompts.append(ids)
            cut.append(was_cut)
        if self.max_length is None:
            return EncodedExample(prompts, target, cut)
        room = min(self.max_length - len(ids) for ids in prompts)
        if room < 1:
            raise DataError(
                f"the prompt leaves no room for the output within {self.max_length} tokens; raise scoring.max_length"
            )
        if room < len(target):
            return EncodedExample(prompts, target[:room], [True] * len(prompts))
        return EncodedExample(prompts, target, cut)

    def _fit(self, instruction: str, input_text: str, num_target: int) -> tuple[list[int], bool]:
        """Prompt ids that leave room for the target, cutting the input from its left if need be."""
        ids = self.prompt_ids(instruction, input_text)
        if self.max_length is None or not input_text:
            return ids, False
        kept, was_cut = input_text, False
        while (excess := len(ids) + num_target - self.max_length) > 0 and kept:
            kept, was_cut = self._without_first_tokens(kept, excess), True
            ids = self.bos_ids + self.encode(self._render(self.template.with_input, instruction, kept))
        return ids, was_cut

    def _without_first_tokens(self, text: str, count: int) -> str:
        """``text`` without its first ``count`` tokens (at least one character less, at most all)."""
        offsets = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        if count >= len(offsets):
            return ""
        return text[max(1, offsets[count][0]) :]

    def merges_across_boundary(self, instruction: str, input_text: str, output: str) -> bool:
        """Whether tokenising prompt and target together gives other ids than joining them."""
        prompt = self.render(instruction, input_text)
        return self.encode(prompt + output) != self.encode(prompt) + self.encode(output)


def _beginning_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """[BOS] for a tokenizer that begins sequences with it, else []."""
    bos = tokenizer.bos_token_id
    if bos is None:
        return []
    begun = list(tokenizer("a")["input_ids"])
    return [int(bos)] if begun and begun[0] == bos else []
