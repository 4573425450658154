"""The data check: what came in, what is used, what was set aside and why."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tss_lab.config import DatasetConfig
from tss_lab.data.rows import OTHER_CATEGORY, FilteredRows, RawRow, UnusableRow
from tss_lab.prompts import SpecialTokens
from tss_lab.types import Example, SetAside

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_ALLOWED_CONTROLS = frozenset("\t\n\r")
_REMEDIES = {
    "longer than the limit": "shorten it, raise dataset.max_output_characters, or set dataset.on_bad_row=skip",
}
_REMEDY = "drop it, or set dataset.on_bad_row=skip"


@dataclass(frozen=True, slots=True)
class SpelledTokens:
    """Rows whose text spells a special token of a model; it is read as text (docs/method.md, Tokens).

    ``rows_by_token`` counts a row once for each different token that it spells.
    """

    rows: int
    rows_by_token: dict[str, int]


@dataclass
class DataCheck:
    """Counts of one data set on its way in; ``as_dict`` is what ``run.json`` holds.

    ``kept`` counts the rows that passed; ``used`` and ``held_out`` what sampling made of them.
    """

    name: str
    source: str
    rows_read: int = 0
    kept: int = 0
    used: int = 0
    held_out: int = 0
    set_aside_rows: list[SetAside] = field(default_factory=list)
    filtered: Counter[str] = field(default_factory=Counter)
    other_categories: Counter[str] = field(default_factory=Counter)
    """Rows that ``dataset.categories`` leaves out, by the category that they have."""
    length_quantiles: dict[str, dict[str, float]] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)
    special_tokens: SpelledTokens | None = None
    """Of the rows that are used or held out; None as long as no model was named whose tokens could be spelled."""

    def count_special_tokens(self, examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase) -> SpelledTokens:
        """Counts which examples spell a token of a model that no text should."""
        self.special_tokens = special_token_rows(examples, tokenizer)
        return self.special_tokens

    def put_aside(self, row: UnusableRow) -> None:
        """Lists a row that isn't used."""
        self.set_aside_rows.append(SetAside(row.where, row.reason, row.detail))

    @property
    def set_aside(self) -> Counter[str]:
        """The listed rows by reason."""
        return Counter(row.reason for row in self.set_aside_rows)

    def leave_out(self, rows: FilteredRows) -> None:
        """Counts rows that the settings leave out."""
        self.filtered[rows.reason] += rows.count
        if rows.reason == OTHER_CATEGORY and rows.category:
            self.other_categories[rows.category] += rows.count

    def measure(self, examples: Sequence[Example]) -> None:
        """Length quantiles (words) and categories of the rows that passed."""
        self.kept = len(examples)
        self.categories = dict(Counter(example.category or "none" for example in examples).most_common())
        for name in ("instruction", "input", "output"):
            lengths = [len(getattr(example, name).split()) for example in examples]
            values = np.quantile(lengths, QUANTILES).tolist() if lengths else []
            self.length_quantiles[f"{name}_words"] = {
                f"{quantile:.0%}": float(value) for quantile, value in zip(QUANTILES, values, strict=False)
            }

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "source": self.source,
            "rows_read": self.rows_read,
            "kept": self.kept,
            "used": self.used,
            "held_out": self.held_out,
            "filtered": dict(self.filtered),
            "set_aside": dict(self.set_aside),
            "length_quantiles": self.length_quantiles,
            "categories": self.categories,
            "special_token_rows": None if self.special_tokens is None else self.special_tokens.rows,
            "special_tokens": {} if self.special_tokens is None else self.special_tokens.rows_by_token,
        }

    def summary(self) -> str:
        """A few lines for people."""
        lines = [
            f"{self.name} ({self.source}): {self.rows_read} rows read, {self.kept} kept, "
            f"{sum(self.set_aside.values())} set aside"
        ]
        lines += [f"  set aside, {reason}: {count}" for reason, count in self.set_aside.most_common()]
        lines += [f"  left out, {reason}: {count}" for reason, count in self.filtered.most_common()]
        lines.append(f"  used: {self.used}, held out: {self.held_out}")
        if self.used != self.kept:
            lines.append(f"  of all {self.kept} kept rows, used or not:")
        for name, quantiles in self.length_quantiles.items():
            lines.append(f"  {name}: " + ", ".join(f"{key} {value:.0f}" for key, value in quantiles.items()))
        lines.append(f"  categories ({len(self.categories)}): {shown(self.categories)}")
        if self.special_tokens and self.special_tokens.rows:
            spelled = shown(self.special_tokens.rows_by_token)
            lines.append(f"  rows that spell a special token, read as text: {self.special_tokens.rows} ({spelled})")
        return "\n".join(lines)


def shown(categories: Mapping[str, int]) -> str:
    """The largest categories with their counts."""
    top = sorted(categories.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {count}" for name, count in top[:8]) + (
        f" and {len(top) - 8} more" if len(top) > 8 else ""
    )


def special_token_rows(examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase) -> SpelledTokens:
    """How many examples spell a special token of this tokenizer in instruction, input or output, and which."""
    special = SpecialTokens(tokenizer)
    rows, by_token = 0, Counter[str]()
    for example in examples:
        spelled = {
            token for text in (example.instruction, example.input, example.output) for token in special.spelled_in(text)
        }
        rows += bool(spelled)
        by_token.update(sorted(spelled))
    return SpelledTokens(rows, dict(by_token.most_common()))


def remedy(row: UnusableRow) -> str:
    """What the user can do about a row, as the second half of an error's sentence."""
    return _REMEDIES.get(row.reason, _REMEDY)


def check_row(row: RawRow, config: DatasetConfig) -> Example | UnusableRow:
    """The row as an example, or the first thing that is wrong with it. Text is not changed.

    An input of white space alone is no input.
    """
    for name in ("instruction", "input", "output"):
        value = getattr(row, name)
        if not isinstance(value, str):
            return UnusableRow(row.where, "wrong type", f"'{name}' is {_kind(value)}, expected a text", row.columns)
        problem = _bad_characters(value)
        if problem:
            return UnusableRow(row.where, problem[0], f"'{name}' holds {problem[1]}", row.columns)
    instruction, input_text, output = str(row.instruction), str(row.input), str(row.output)
    for name, text in (("instruction", instruction), ("output", output)):
        if not text.strip():
            return UnusableRow(row.where, f"empty {name}", f"'{name}' is empty", row.columns)
    if len(output) > config.max_output_characters:
        detail = f"'output' has {len(output)} characters, the limit is {config.max_output_characters}"
        return UnusableRow(row.where, "longer than the limit", detail, row.columns)
    category = None if row.category is None else str(row.category)
    if category and _bad_characters(category):
        return UnusableRow(
            row.where, "control characters", "'category' holds characters that can't be shown", row.columns
        )
    input_text = input_text if input_text.strip() else ""
    return Example(
        content_id(instruction, input_text, output),
        instruction,
        input_text,
        output,
        category,
        config.name,
        dict(row.extra),
    )


def content_id(instruction: str, input_text: str, output: str, copy: int = 0) -> str:
    """16 hex letters that name an example by its content; ``copy`` tells kept duplicates apart."""
    content = [instruction, input_text, output, *([copy] if copy else [])]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:16]


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {"int": "a number", "float": "a number", "bool": "true or false", "list": "a list", "dict": "an object"}.get(
        type(value).__name__, type(value).__name__
    )


def _bad_characters(text: str) -> tuple[str, str] | None:
    """(reason, what) of the first character that no honest text holds."""
    if text.isprintable():
        return None
    for position, letter in enumerate(text):
        if "\ud800" <= letter <= "\udfff":
            return "broken Unicode", f"bytes that are not UTF-8, or half a character, at position {position}"
        if letter not in _ALLOWED_CONTROLS and unicodedata.category(letter) == "Cc":
            return "control characters", f"the control character U+{ord(letter):04X} at position {position}"
    return None
