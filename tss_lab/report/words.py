"""Numbers as texts for people."""

from __future__ import annotations

import math

import numpy as np

from tss_lab.report.statistics import interval
from tss_lab.types import Estimate

_METHOD_TITLES = {
    "full": "Full", "random": "Random", "ppl": "PPL", "ifd": "IFD",
    "tss": "TSS", "tss_exp": "TSS (E)", "tss_pp": "TSS++", "tss_pp_exp": "TSS++ (E)",
}  # fmt: skip


def method_title(name: str) -> str:
    """The paper's name of a method; another method's own name."""
    return _METHOD_TITLES.get(name, name)


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """A number for people: thousands apart, a real minus, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    sign = "+" if signed else ""
    if isinstance(value, (int, np.integer)) or (abs(value) >= 1e4 and digits >= 0):
        text = f"{value:{sign},.0f}"
    else:
        text = f"{value:{sign},.{digits}f}"
    return text.replace("-", "−")


def plus_minus(estimate: Estimate | None, digits: int = 2, signed: bool = False) -> str:
    """Value ± standard error."""
    if estimate is None:
        return "–"
    error = f" ± {number(estimate.standard_error, digits)}" if math.isfinite(estimate.standard_error) else ""
    return number(estimate.value, digits, signed) + error


def confidence(estimate: Estimate, digits: int = 1, signed: bool = False) -> str:
    """95 % interval as ``low to high``."""
    low, high = interval(estimate)
    return f"{number(low, digits, signed)} to {number(high, digits, signed)}" if math.isfinite(low) else "–"
