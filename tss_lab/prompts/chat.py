"""The tokenizer's own chat template, filled in the same way for scoring, training and generation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from tss_lab.errors import ConfigError
from tss_lab.prompts.special import SpecialTokens, Spelling

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Turn = tuple[str, str]
"""(role, content); the role is system, user or assistant."""

# A line each, ended by a block: Jinja drops the line break, and the template begins a line as it did.
_FIXED_DATE = "{% macro strftime_now(form) %}26 Jul 2024{% endmacro %}\n"
_NO_THOUGHTS = "{% set enable_thinking = false %}\n"
_BEGINNING = "{% if true %}{{ bos_token }}{% endif %}\n"


class ChatFormat:
    """A tokenizer's chat template as prompts are made by it.

    ``template`` is the tokenizer's, in which every day is the same day (a pair's id must not change
    overnight), a model that thinks answers without (the data hold no thoughts), and a model that begins
    sequences with a token has it. Raises ConfigError when there is no chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        if not tokenizer.chat_template:
            raise ConfigError("the tokenizer has no chat template")
        self.tokenizer = tokenizer
        self.special = SpecialTokens(tokenizer)
        template = str(tokenizer.get_chat_template())
        for name, line in (("strftime_now", _FIXED_DATE), ("enable_thinking", _NO_THOUGHTS)):
            if name in template and line not in template:
                template = line + template
        self.template = template
        if beginning_ids(tokenizer) and not self.render([("user", "Hello.")]).startswith(str(tokenizer.bos_token)):
            self.template = _BEGINNING + template

    @property
    def has_date(self) -> bool:
        """Whether the template states today's date, which is fixed here."""
        return _FIXED_DATE in self.template

    def render(self, turns: Sequence[Turn], *, reply_follows: bool = True) -> str:
        """The conversation's text; the first user turn takes the system's where the template has no system turns."""
        from jinja2 import TemplateError

        try:
            return self._apply(turns, reply_follows)
        except TemplateError:
            if len(turns) < 2 or turns[0][0] != "system":
                raise
            (_, system), (role, content), *rest = turns
            return self._apply([(role, f"{system}\n\n{content}"), *rest], reply_follows)

    def _apply(self, turns: Sequence[Turn], reply_follows: bool) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                [{"role": role, "content": content} for role, content in turns],
                chat_template=self.template, tokenize=False, add_generation_prompt=reply_follows,
            )
        )  # fmt: skip

    def prompt_ids(self, turns: Sequence[Turn], begun: str = "") -> list[int]:
        """Ids of the prompt and of a begun reply, as one text; special tokens spelled in contents are text."""
        roles = [role for role, _ in turns]

        def text(*contents: str) -> str:
            return self.render(list(zip(roles, contents[:-1], strict=True))) + contents[-1]

        return self.special.encode_around(text, *(content for _, content in turns), begun)

    @cached_property
    def end_ids(self) -> list[int]:
        """What the template ends an assistant's turn with, up to and with the token that marks the end.

        Where it writes no such token the tokenizer's end of text marks it; empty where there is none either.
        """
        reply = "This is the reply."
        text = self.render([("user", "A question."), ("assistant", reply)], reply_follows=False)
        after = text.rpartition(reply)[2] if reply in text else ""
        added = self.tokenizer.added_tokens_encoder
        marks = Spelling(content for content in added if not content.isspace())
        start, end, _ = next(marks.spans(after), (len(after), len(after), 0))
        stop = added[after[start:end]] if end > start else self.tokenizer.eos_token_id
        if stop is None:
            return []
        return [*(self.special.encode(after[:start]) if start else []), int(stop)]


def beginning_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """[BOS] for a tokenizer that begins sequences with it, else []."""
    bos = tokenizer.bos_token_id
    if bos is None:
        return []
    begun = list(tokenizer("a")["input_ids"])
    return [int(bos)] if begun and begun[0] == bos else []
