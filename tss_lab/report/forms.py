"""How the values of a table's column read, and what a machine gets of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
