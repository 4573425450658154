"""What a page is made of: sections of facts, tables, figures and examples, as values.

Numbers stay numbers until a part is rendered. A column's form says how its values read (``show``) and what a
machine gets of them (``export``); so one table serves the page, the terminal, CSV, JSON, Markdown and LaTeX.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tss_lab.report.charts import Figure
from tss_lab.report.escape import latex, markdown
from tss_lab.report.numbers import DASH, accuracy, bounds, item_difference, number, percent, plus_minus
from tss_lab.report.paired import ItemComparison
from tss_lab.types import Estimate

Plain = str | int | float | bool | None


@dataclass(frozen=True)
class Shown:
    """A cell for people: its text, and what stands under it in small."""

    text: str
    note: str = ""

    @property
    def in_one_line(self) -> str:
        """Both, where nothing is small."""
        return f"{self.text} ({self.note})" if self.note else self.text


@dataclass(frozen=True)
class Form:
    """How the values of a column are shown and exported.

    ``show`` gets a value that is not None. ``export`` gives ``suffix -> plain value``: ``""`` for the value itself,
    ``"_stderr"`` for its standard error; every value of a column has the same suffixes.
    """

    show: Callable[[Any], Shown | str]
    export: Callable[[Any], Mapping[str, Plain]] = lambda value: {"": value}
    suffixes: Sequence[str] = ("",)
    is_text: bool = False

    def shown(self, value: Any) -> Shown:
        if value is None:
            return Shown(DASH)
        found = self.show(value)
        return found if isinstance(found, Shown) else Shown(found)

    def exported(self, value: Any) -> dict[str, Plain]:
        """Plain values; None for what is missing or not finite."""
        plain = {} if value is None else self.export(value)
        return {suffix: _plain(plain.get(suffix)) for suffix in self.suffixes}


def _plain(value: Any) -> Plain:
    plain: Plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


TEXT = Form(str, is_text=True)
COUNT = Form(lambda value: number(value, 0))


def decimal(digits: int, *, signed: bool = False) -> Form:
    """A number with so many digits after the point."""
    return Form(lambda value: number(float(value), digits, signed))


def share(digits: int = 0) -> Form:
    """A share in [0, 1], shown in percent."""
    return Form(lambda value: percent(value, digits))


def estimate(digits: int, *, signed: bool = False, is_accuracy: bool = False) -> Form:
    """An ``Estimate`` as value ± standard error; an accuracy of 0 or 100 % with its Wilson interval."""

    def show(value: Estimate) -> str:
        return accuracy(value, digits) if is_accuracy else plus_minus(value, digits, signed)

    def export(value: Estimate) -> dict[str, Plain]:
        return {"": value.value, "_stderr": value.standard_error}

    return Form(show, export, ("", "_stderr"))


def difference(digits: int) -> Form:
    """An ``ItemComparison`` as difference ± standard error, in words where no item changed."""

    def export(value: ItemComparison) -> dict[str, Plain]:
        error = None if value.interval is None else value.difference.standard_error
        return {"": value.difference.value, "_stderr": error, "_gained": value.gained, "_lost": value.lost}

    return Form(lambda value: item_difference(value, digits), export, ("", "_stderr", "_gained", "_lost"))


def interval(digits: int) -> Form:
    """(low, high) as ``low to high``."""

    def export(value: tuple[float, float]) -> dict[str, Plain]:
        return {"_low": value[0], "_high": value[1]}

    return Form(lambda value: bounds(value, digits), export, ("_low", "_high"))


@dataclass(frozen=True)
class Column:
    """A column: what heads it, how its values read, and its name for machines (made of the title where not given)."""

    title: str
    form: Form = TEXT
    name: str = ""

    @property
    def key(self) -> str:
        if self.name:
            return self.name
        return "_".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split()) or "value"


@dataclass(frozen=True)
class Table:
    """Values in rows; the first column heads them. None stands for what isn't there."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    last_is_total: bool = False
    is_wide: bool = False
    """A phone shows a card a row instead of columns."""

    @property
    def shown(self) -> list[list[Shown]]:
        """Every cell for people."""
        return [
            [column.form.shown(value) for column, value in zip(self.columns, row, strict=True)] for row in self.rows
        ]

    @property
    def keys(self) -> list[str]:
        """The names of a record's values. Raises ValueError where two columns would share one."""
        keys = [f"{column.key}{suffix}" for column in self.columns for suffix in column.form.suffixes]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"two columns of the table '{self.caption}' are called {twice}; give one another name")
        return keys

    def records(self) -> list[dict[str, Plain]]:
        """A flat mapping a row, for machines; the same keys in each."""
        keys, records = self.keys, []
        for row in self.rows:
            cells = [column.form.exported(value) for column, value in zip(self.columns, row, strict=True)]
            records.append(dict(zip(keys, (plain for cell in cells for plain in cell.values()), strict=True)))
        return records

    def to_csv(self) -> str:
        """A header and a line a row; empty where there is no value."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.keys, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.records())
        return text.getvalue()

    def to_markdown(self) -> str:
        """A table of GitHub's Markdown, with its caption above."""
        titles = [column.title for column in self.columns]
        marks = ["---" if column.form.is_text else "---:" for column in self.columns]
        rows = [[markdown(cell.in_one_line) for cell in row] for row in self.shown]
        lines = [f"| {' | '.join(line)} |" for line in ([markdown(title) for title in titles], marks, *rows)]
        return "\n".join([f"**{markdown(self.caption)}**", "", *lines, ""])

    def to_latex(self) -> str:
        """A ``table`` environment with rules of the package booktabs; signs and Greek letters as commands."""
        rows = [" & ".join(latex(cell.in_one_line) for cell in row) + r" \\" for row in self.shown]
        if self.last_is_total and len(rows) > 1:
            rows.insert(-1, r"\midrule")
        alignment = "".join("l" if column.form.is_text else "r" for column in self.columns)
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex(self.caption)}}}",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            " & ".join(latex(column.title) for column in self.columns) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Facts:
    """Name and value, a line each. ``small``: many of them, in small type."""

    rows: Sequence[tuple[str, str]]
    small: bool = False


@dataclass(frozen=True)
class Note:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Folded:
    """Parts behind a line that opens them; or a text as it stands (``preformatted``)."""

    title: str
    parts: Sequence[Part] = ()
    preformatted: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class PromptRow:
    """One instruction for a card's output. ``place``: where its log-likelihood stands among the others', in percent."""

    instruction: str
    source: str
    loglik: str
    difference: str
    place: float | None
    is_true: bool


@dataclass(frozen=True)
class Card:
    """One example: a line (place, score, instruction, whether it is kept), and what opens below it."""

    place: str
    score: str
    is_kept: bool
    about: str
    note: str
    texts: Mapping[str, str]
    """``Instruction``, ``Input``, ``Output`` -> text; the first one stands in the line."""
    prompts: Sequence[PromptRow]


@dataclass(frozen=True)
class Cards:
    """Examples that open, under a heading of their own."""

    title: str
    cards: Sequence[Card]


Part = Facts | Table | Figure | Note | Folded | Heading | Cards


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading of its own."""

    anchor: str
    title: str
    lead: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Tile:
    """One of the few numbers at the top of a page."""

    value: str
    name: str
    note: str = ""


@dataclass(frozen=True)
class Page:
    """A page as values."""

    title: str
    subtitle: str
    tiles: Sequence[Tile]
    sections: Sequence[Section]
    footer: str
    is_broad: bool = False
