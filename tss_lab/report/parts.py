"""What a page is made of: sections of facts, tables, figures and examples, as values.

Numbers stay numbers until a part is rendered. A column's form says how its values read (``show``) and what a
machine gets of them (``export``); so one table serves the page, the terminal, CSV, JSON, Markdown and LaTeX.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tss_lab.report.charts import Figure
from tss_lab.report.escape import latex, markdown
from tss_lab.report.forms import COUNT as COUNT
from tss_lab.report.forms import TEXT as TEXT
from tss_lab.report.forms import Form as Form
from tss_lab.report.forms import Plain as Plain
from tss_lab.report.forms import Shown as Shown
from tss_lab.report.forms import decimal as decimal
from tss_lab.report.forms import difference as difference
from tss_lab.report.forms import estimate as estimate
from tss_lab.report.forms import interval as interval
from tss_lab.report.forms import share as share
from tss_lab.report.numbers import DASH


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
        head = " & ".join(latex(column.title) for column in self.columns) + r" \\"
        begin = [r"\begin{table}", r"\centering", rf"\caption{{{latex(self.caption)}}}"]
        tabular = [rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule"]
        return "\n".join([*begin, *tabular, r"\end{tabular}", r"\end{table}", ""])


@dataclass(frozen=True)
class Facts:
    """Name and value, a line each. ``small``: many of them, in small type."""

    rows: Sequence[tuple[str, str]]
    small: bool = False

    @classmethod
    def known(cls, rows: Sequence[tuple[str, str]]) -> Facts | None:
        """Those that have a value; None where none has."""
        found = [row for row in rows if row[1] != DASH]
        return cls(found) if found else None


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


def section(anchor: str, title: str, lead: str, parts: Iterable[Part | None]) -> Section | None:
    """A section of the parts that are there; None where none is."""
    found = [part for part in parts if part is not None]
    return Section(anchor, title, lead, found) if found else None


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
