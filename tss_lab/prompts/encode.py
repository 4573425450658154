"""From instruction, input and output to token ids."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tss_lab.errors import ConfigError, DataError
from tss_lab.prompts.chat import ChatFormat, beginning_ids
from tss_lab.prompts.special import SpecialTokens
from tss_lab.prompts.templates import Template, as_chat_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
        self.bos_ids = beginning_ids(tokenizer)
        if template.chat and not tokenizer.chat_template:
            raise ConfigError(
                "scoring.template=chat, but the model's tokenizer has no chat template; take scoring.template=alpaca"
            )
        self._chat = ChatFormat(tokenizer) if template.chat else None
        self._special = self._chat.special if self._chat else SpecialTokens(tokenizer)

    def identity(self) -> dict[str, Any]:
        """The token rule, for the likelihood fingerprint."""
        return {
            "template": self.template.identity(),
            "token_rule": f"bos + encode(prompt) + encode(target), version {2 if self.template.chat else 1}",
            "max_length": self.max_length,
        }

    def render(self, instruction: str, input_text: str) -> str:
        """The prompt's text, without a beginning-of-sequence token."""
        text = self._form(input_text).format(instruction=instruction, input=input_text)
        if self._chat is None:
            return text
        rendered = self._chat.render([("user", text)])
        return rendered.removeprefix(self.tokenizer.bos_token) if self.bos_ids else rendered

    def _form(self, input_text: str) -> str:
        return self.template.with_input if input_text else self.template.without_input

    def prompt_ids(self, instruction: str, input_text: str) -> list[int]:
        """``[BOS] + encode(prompt)``; BOS only where the tokenizer begins sequences with it.

        A chat template's special tokens are tokens; those that instruction or input spell are text.
        """
        return self._ids(self._form(input_text), instruction, input_text)

    def _ids(self, form: str, instruction: str, input_text: str, begun: str = "") -> list[int]:
        """Ids of a prompt in this form, and of a begun output, tokenised together."""
        text = form.format(instruction=instruction, input=input_text)
        if self._chat is None:
            return self.bos_ids + self.encode(text + begun)
        return self._chat.prompt_ids([("user", text)], begun)

    def end_ids(self) -> list[int]:
        """What ends an output in training: the end of text, or what ends the chat template's turn.

        The last of them is where generation stops. Raises ConfigError when the tokenizer has no end.
        """
        eos = self.tokenizer.eos_token_id
        ids = self._chat.end_ids if self._chat else [] if eos is None else [int(eos)]
        if not ids:
            raise ConfigError(
                "the tokenizer has no end-of-text token, so the model couldn't learn where to stop; "
                "set tokenizer.eos_token"
            )
        return list(ids)

    def chat_template(self) -> str | None:
        """A Jinja chat template that renders the prompts of this encoder, to be shipped with a tuned model.

        The user's turn is the instruction; a system turn before it is the input (with ``template=chat`` the
        tokenizer's own template holds, and the input is part of the user's turn). None where the tokenizer
        gives the text other ids after a beginning token that is written out.
        """
        if self._chat is not None:
            return self._chat.template
        beginnings = ["bos_token", "bos_token ~ ' '"] if self.bos_ids else ["''"]
        templates = [as_chat_template(self.template, beginning) for beginning in beginnings]
        return next((template for template in templates if self._is_rendered_by(template)), None)

    def _is_rendered_by(self, chat_template: str) -> bool:
        for turns in ([("system", "1, 2\n"), ("user", "Add them.")], [("user", "Add 1 and 2.")]):
            rendered = self.tokenizer.apply_chat_template(
                [{"role": role, "content": content} for role, content in turns],
                chat_template=chat_template, tokenize=False, add_generation_prompt=True,
            )  # fmt: skip
            ids = list(self.tokenizer.encode(rendered, add_special_tokens=False))
            if ids != self.prompt_ids(turns[-1][1], turns[0][1] if len(turns) == 2 else ""):
                return False
        return True

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
        """Ids of a text alone; no special token is added, and one that it spells is text."""
        return self._special.encode(text)

    def encode_example(self, instructions: Sequence[str], input_text: str, output: str) -> EncodedExample:
        """One target under each instruction, cut to the limit (docs/method.md, Too long).

        First X is cut from its left inside each prompt, then Y from its right, to the shortest that
        any prompt leaves room for. Raises DataError when nothing of Y is left, or when a special token is
        spelled that the tokenizer can't write as text.
        """
        self._special.check(input_text, output, *instructions)
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
            ids = self._ids(self.template.with_input, instruction, kept)
        return ids, was_cut

    def _without_first_tokens(self, text: str, count: int) -> str:
        """``text`` without its first ``count`` tokens (at least one character less, at most all)."""
        offsets = self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )["offset_mapping"]
        if count >= len(offsets):
            return ""
        return text[max(1, offsets[count][0]) :]

    def merges_across_boundary(self, instruction: str, input_text: str, output: str) -> bool:
        """Whether tokenising prompt and target together gives other ids than joining them."""
        form = self._form(input_text)
        apart = self._ids(form, instruction, input_text) + self.encode(output)
        return self._ids(form, instruction, input_text, output) != apart
