"""What a page is made of: sections of facts, tables and figures, as values.

Numbers stay numbers until a part is rendered. A column's form says how its values read (``show``) and what a
machine gets of them (``export``); so one table serves the page, the terminal, CSV, JSON, Markdown and LaTeX.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tss_lab.report.charts import Figure
from tss_lab.report.numbers import DASH, accuracy, bounds, number, plus_minus
from tss_lab.types import Estimate

Plain = str | int | float | bool | None


@dataclass(frozen=True)
class Shown:
    """A cell for people: its text, and what stands under it in small."""

    text: str
    note: str = ""


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
        return {suffix: _finite(plain.get(suffix)) for suffix in self.suffixes}


def _finite(value: Plain) -> Plain:
    return None if isinstance(value, float) and not math.isfinite(value) else value


TEXT = Form(str, is_text=True)
COUNT = Form(lambda value: f"{value:,}")


def decimal(digits: int, *, signed: bool = False) -> Form:
    """A number with so many digits after the point."""
    return Form(lambda value: number(float(value), digits, signed))


def share(digits: int = 0) -> Form:
    """A share in [0, 1], shown in percent."""
    return Form(lambda value: f"{number(100 * value, digits)} %")


def estimate(digits: int, *, signed: bool = False, is_accuracy: bool = False) -> Form:
    """An ``Estimate`` as value ± standard error; an accuracy of 0 or 100 % with its Wilson interval."""

    def show(value: Estimate) -> str:
        return accuracy(value, digits) if is_accuracy else plus_minus(value, digits, signed)

    def export(value: Estimate) -> dict[str, Plain]:
        return {"": value.value, "_stderr": value.standard_error}

    return Form(show, export, ("", "_stderr"))


def interval(digits: int) -> Form:
    """(low, high) as ``low to high``."""
    return Form(
        lambda value: bounds(value, digits), lambda value: {"_low": value[0], "_high": value[1]}, ("_low", "_high")
    )


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

    def records(self) -> list[dict[str, Plain]]:
        """A flat mapping a row, for machines; the same keys in each."""
        return [
            {
                f"{column.key}{suffix}": plain
                for column, value in zip(self.columns, row, strict=True)
                for suffix, plain in column.form.exported(value).items()
            }
            for row in self.rows
        ]

    def to_csv(self) -> str:
        """A header and a line a row; empty where there is no value."""
        text = io.StringIO()
        header = [f"{column.key}{suffix}" for column in self.columns for suffix in column.form.suffixes]
        writer = csv.DictWriter(text, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.records())
        return text.getvalue()

    def to_markdown(self) -> str:
        """A table of GitHub's Markdown, with its caption above."""
        marks = ["---" if column.form.is_text else "---:" for column in self.columns]
        lines = [
            [column.title for column in self.columns],
            marks,
            *([_joined(cell) for cell in row] for row in self.shown),
        ]
        body = "\n".join(
            "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in line) + " |" for line in lines
        )
        return f"**{self.caption}**\n\n{body}\n"

    def to_latex(self) -> str:
        """A ``table`` environment with booktabs rules; signs and Greek letters as commands."""
        rows = [" & ".join(_latex(_joined(cell)) for cell in row) + r" \\" for row in self.shown]
        if self.last_is_total and len(rows) > 1:
            rows.insert(-1, r"\midrule")
        alignment = "".join("l" if column.form.is_text else "r" for column in self.columns)
        head = " & ".join(_latex(column.title) for column in self.columns) + r" \\"
        return "\n".join(
            [r"\begin{table}", r"\centering", rf"\caption{{{_latex(self.caption)}}}", rf"\begin{{tabular}}{{{alignment}}}",
             r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
        )  # fmt: skip


def _joined(cell: Shown) -> str:
    return f"{cell.text} ({cell.note})" if cell.note else cell.text


_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$", "ρ": r"$\rho$", "Δ": r"$\Delta$",
    "τ": r"$\tau$", "α": r"$\alpha$", "λ": r"$\lambda$", "Σ": r"$\Sigma$", "²": r"$^2$", "·": r"$\cdot$",
    "–": "--", "…": r"\dots{}", "\u00a0": "~", "≥": r"$\geq$", "≤": r"$\leq$", "|": r"\textbar{}", "\n": " ",
})  # fmt: skip


def _latex(text: str) -> str:
    return text.translate(_LATEX)


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
class Cards:
    """Examples that open; ``cards`` are read by the page's own template."""

    cards: Sequence[Any]


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
    is_broad: bool = field(default=False)
