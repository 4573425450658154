"""Numbers as texts for people."""

from __future__ import annotations

import math

import numpy as np

from tss_lab.report.paired import ItemComparison
from tss_lab.statistics import accuracy_interval
from tss_lab.types import Estimate

NOTHING_CHANGED = "no item changed"
DASH = "–"

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
        return DASH
    sign = "+" if signed else ""
    if isinstance(value, (int, np.integer)) or (abs(value) >= 1e4 and digits >= 0):
        text = f"{value:{sign},.0f}"
    else:
        text = f"{value:{sign},.{digits}f}"
    return text.replace("-", "−")


def percent(share: float | None, digits: int = 0) -> str:
    """A share in [0, 1] in percent."""
    return DASH if share is None or not math.isfinite(share) else f"{number(100.0 * share, digits)} %"


def place(rank: int) -> str:
    """A rank as files hold it, 0 for the best, as people count: ``1st``."""
    count = rank + 1
    ending = {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th") if count % 100 not in (11, 12, 13) else "th"
    return f"{count:,}{ending}"


def plus_minus(estimate: Estimate | None, digits: int = 2, signed: bool = False) -> str:
    """Value ± standard error; without one where it is unknown or the observations show no spread."""
    if estimate is None:
        return DASH
    error = f" ± {number(estimate.standard_error, digits)}" if estimate.standard_error > 0 else ""
    return number(estimate.value, digits, signed) + error


def accuracy(estimate: Estimate | None, digits: int = 1) -> str:
    """Percent ± standard error; where all items are right or all wrong, the 95 % interval (Wilson) in its place."""
    if estimate is None or not estimate.n or estimate.value not in (0.0, 100.0) or estimate.standard_error > 0:
        return plus_minus(estimate, digits)
    low, high = accuracy_interval(estimate)
    return f"{number(estimate.value, digits)} ({number(low, digits)} to {number(high, digits)})"


def item_difference(compared: ItemComparison | None, digits: int = 1) -> str:
    """A paired difference ± standard error; in words where no item changed."""
    if compared is None:
        return DASH
    if compared.is_unchanged:
        return NOTHING_CHANGED
    if compared.interval is None:
        return number(compared.difference.value, digits, signed=True)
    return plus_minus(compared.difference, digits, signed=True)


def bounds(low_high: tuple[float, float] | None, digits: int = 1) -> str:
    """An interval of a difference as ``low to high``, a dash where there is none."""
    if low_high is None or not all(map(math.isfinite, low_high)):
        return DASH
    return f"{number(low_high[0], digits, signed=True)} to {number(low_high[1], digits, signed=True)}"
