"""How long a pass takes: a range before it begins, and the pace that is measured while it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SHARES = (0.2, 0.8)
"""Of a large matrix product's rate that passes were seen to reach: beside other work, and alone."""
_MARKS = (0.02, 0.1, 0.25, 0.5, 0.75)
"""Shares of the work after which the rest is estimated anew."""
_LONG_SECONDS = 20.0
"""A shorter rest isn't worth a line."""
_LONG_PRODUCT_SECONDS = 0.05
_UNITS = (("second", 1.0, 90.0), ("minute", 60.0, 5400.0), ("hour", 3600.0, 172_800.0), ("day", 86_400.0, float("inf")))


class Pace:
    """Where a pass stands, by the work that is done and the time it took.

    Args:
        work: what each pack costs, in the order in which they are computed; any unit.
        clock: seconds.
    """

    def __init__(self, work: Sequence[float], clock: Callable[[], float] = time.perf_counter):
        self._done = [0.0, *accumulate(work)]
        self._clock = clock
        self._moments = [clock()]
        self._marks = list(_MARKS)

    def pack_done(self) -> str | None:
        """To be called after each pack; a sentence where the rest is worth an estimate."""
        self._moments.append(self._clock())
        count, total = len(self._moments) - 1, self._done[-1]
        passed = [mark for mark in self._marks if self._done[count] >= mark * total]
        if not passed or count == len(self._done) - 1:
            return None
        self._marks = self._marks[len(passed) :]
        # The first pack warms up, on a GPU by minutes of compilation: the others tell the pace.
        first = 1 if count > 1 else 0
        pace = (self._moments[count] - self._moments[first]) / (self._done[count] - self._done[first])
        rest = pace * (total - self._done[count])
        if rest < _LONG_SECONDS:
            return None
        gone = self._moments[count] - self._moments[0]
        return (
            f"{self._done[count] / total:.0%} of the pass are done after {in_words(gone)}; about {in_words(rest)} to go"
        )


def expected_seconds(flops: float, device: torch.device, dtype: torch.dtype, num_devices: int) -> tuple[float, float]:
    """The shortest and the longest time that so many operations should take; measures for a moment."""
    rate = _product_rate(device, dtype) * num_devices
    return flops / (SHARES[1] * rate), flops / (SHARES[0] * rate)


def in_words(seconds: float) -> str:
    """A duration in the unit that suits it: "40 seconds", "1 minute", "3 hours"."""
    name, unit, _ = next(kind for kind in _UNITS if seconds < kind[2])
    number = max(1, round(seconds / unit))
    return f"{number} {name}{'s' if number > 1 else ''}"


def range_in_words(shortest: float, longest: float) -> str:
    """Two durations in the unit of the longer: "2 to 8 minutes", "up to 3 hours"."""
    _, unit, _ = next(kind for kind in _UNITS if longest < kind[2])
    low, high = round(shortest / unit), max(1, round(longest / unit))
    if low < 1 or low == high:
        return f"up to {in_words(longest)}"
    return f"{low} to {in_words(longest)}"


def _product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of matrix products, the fastest of several, as large as take a moment."""
    import torch

    rates = []
    for rows in (128, 256, 512, 1024) if device.type == "cpu" else (1024, 2048, 4096, 8192):
        left, right = torch.randn(2, rows, rows, device=device).to(dtype)
        (left @ right).sum().item()  # the first of a size sets up its kernel
        for _ in range(3):
            started = time.perf_counter()
            (left @ right).sum().item()
            taken = time.perf_counter() - started
            rates.append(2.0 * rows**3 / taken)
            if taken > _LONG_PRODUCT_SECONDS:
                return max(rates)
    return max(rates)
