"""What the tokenizer makes of the examples: the ids that every likelihood is taken of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tss_lab.runs.findings import Figures, Finding
from tss_lab.types import Example, PromptKind

_MANY_MERGED = 0.05
_FEW_CUT, _MANY_CUT = 0.01, 0.25
_SHORT, _MANY_SHORT = 2, 0.05


@dataclass(frozen=True)
class Tokens:
    """The ids of N examples under their own instructions, and how they came about.

    ``truncated_N`` and ``merged_N`` say whether a pair was cut to the limit, and whether prompt and output would
    have other ids if they were tokenised together.
    """

    examples_N: Sequence[Example]
    prompt_ids_N: Sequence[Sequence[int]]
    target_ids_N: Sequence[Sequence[int]]
    truncated_N: Sequence[bool]
    merged_N: Sequence[bool]
    refused: Sequence[str]
    """Why each of the other examples can't be encoded."""
    bos_ids: Sequence[int]
    """What begins every prompt: the beginning token, or nothing where the tokenizer has none."""
    max_length: int | None
    kinds: frozenset[PromptKind]
    """The prompts that the method's score is made of."""
    rows_by_special_token: dict[str, int]
    """Of the whole data set: the special tokens that texts spell, and in how many rows each."""
    rows_with_special_tokens: int

    @property
    def num(self) -> int:
        return len(self.prompt_ids_N)


def merge_rate(tokens: Tokens) -> Finding:
    """How often the border between prompt and output falls where the tokenizer wouldn't have one."""
    count = sum(tokens.merged_N)
    rate = count / max(1, tokens.num)
    text = f"prompt and output would merge a token in {count:,} of {tokens.num:,} examples"
    figures: Figures = {"merged": count, "examples": tokens.num, "rate": rate}
    if rate <= _MANY_MERGED:
        return Finding("merge_rate", "ok", text, "", figures)
    remedy = "take a template that ends in a line break (scoring.template=alpaca), or strip the outputs' first blanks"
    return Finding("merge_rate", "warning", f"{text}: their first ids are rare after such a prompt", remedy, figures)


def beginning(tokens: Tokens) -> Finding:
    """The beginning token stands once, at the very start, where the tokenizer begins sequences with one."""
    figures: Figures = {"examples": tokens.num, "bos_id": tokens.bos_ids[0] if tokens.bos_ids else None}
    if not tokens.bos_ids:
        return Finding(
            "beginning", "ok", "the tokenizer begins sequences with no token, and none is added", "", figures
        )
    bos = tokens.bos_ids[0]
    pairs = zip(tokens.prompt_ids_N, tokens.target_ids_N, strict=True)
    wrong = sum(prompt[0] != bos or [*prompt, *target].count(bos) != 1 for prompt, target in pairs)
    if not wrong:
        text = f"the beginning token stands once, at the start, in all {tokens.num:,} examples"
        return Finding("beginning", "ok", text, "", {**figures, "wrong": 0})
    return Finding(
        "beginning", "failure",
        f"the beginning token is missing, or stands twice, in {wrong:,} of {tokens.num:,} examples",
        "take the tokenizer that the model was trained with: its chat template, or its post-processor, is at odds "
        "with its beginning token", {**figures, "wrong": wrong},
    )  # fmt: skip


def truncation(tokens: Tokens) -> Finding:
    """The share of pairs that don't fit within the limit."""
    cut, refused = sum(tokens.truncated_N), len(tokens.refused)
    total = tokens.num + refused
    share = (cut + refused) / max(1, total)
    figures: Figures = {
        "cut": cut,
        "refused": refused,
        "examples": total,
        "share": share,
        "max_length": tokens.max_length,
    }
    limit = "no limit" if tokens.max_length is None else f"the limit of {tokens.max_length:,} tokens"
    text = f"{cut:,} of {total:,} examples are cut to {limit}"
    if refused:
        text += f", and {refused:,} can't be scored at all (the first: {tokens.refused[0]})"
    if share <= _FEW_CUT:
        return Finding("truncation", "ok", text, "", figures)
    remedy = "raise scoring.max_length as far as the model's own limit goes, or leave long rows out"
    return Finding("truncation", "failure" if share > _MANY_CUT else "warning", text, remedy, figures)


def short_outputs(tokens: Tokens) -> Finding:
    """Outputs of one or two tokens, on which ratios and means of likelihoods say little."""
    count = sum(len(target) <= _SHORT for target in tokens.target_ids_N)
    share = count / max(1, tokens.num)
    text = f"{count:,} of {tokens.num:,} outputs have one or two tokens"
    figures: Figures = {"short": count, "examples": tokens.num, "share": share}
    by_ratio = PromptKind.UNCONDITIONAL in tokens.kinds
    if share <= (0.0 if by_ratio else _MANY_SHORT):
        return Finding("short_outputs", "ok", text, "", figures)
    why = "IFD compares single tokens there" if by_ratio else "a mean over their tokens is no mean"
    remedy = "rank such rows by a sum (method=tss), within their category, or leave them out"
    return Finding("short_outputs", "warning", f"{text}: {why}", remedy, figures)


def special_tokens(tokens: Tokens) -> Finding:
    """Texts that spell a token which only a template should write."""
    count, by_token = tokens.rows_with_special_tokens, tokens.rows_by_special_token
    figures: Figures = {"rows": count, **{f"rows with {token}": rows for token, rows in by_token.items()}}
    if not count:
        return Finding("special_tokens", "ok", "no text spells a special token of the model", "", figures)
    shown = ", ".join(f"{token} in {rows:,}" for token, rows in list(by_token.items())[:3])
    text = f"rows that spell a special token of the model: {count:,} ({shown}); it is read as text"
    return Finding("special_tokens", "warning", text, "take such marks out of the data", figures)


def template(name: str, *, is_chat: bool, model_has_chat: bool) -> Finding:
    """Whether the prompts are in the form that the model was tuned for.

    Args:
        name: ``scoring.template``.
        is_chat: whether it is the tokenizer's own chat template.
        model_has_chat: whether the tokenizer has one.
    """
    figures: Figures = {"template": name, "model_has_chat_template": int(model_has_chat)}
    if is_chat and not model_has_chat:
        text = f"scoring.template={name}, and the model has no chat template: it was never tuned for turns"
        return Finding("template", "failure", text, "take scoring.template=alpaca", figures)
    if model_has_chat and not is_chat:
        text = f"the model comes with a chat template and is asked under {name}, which it may never have seen"
        remedy = "take scoring.template=chat, unless it is a base model that only carries the template"
        return Finding("template", "warning", text, remedy, figures)
    own = "the model's own chat template is used" if is_chat else f"{name}, for a model without a chat template"
    return Finding("template", "ok", own, "", figures)


CHECKS = (merge_rate, beginning, truncation, short_outputs, special_tokens)
