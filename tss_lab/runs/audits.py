"""The audit of a selection on disk: ``audit.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

Bounds = tuple[float, float]
"""(low, high) of a 95 % interval."""


@dataclass(frozen=True)
class Shift:
    """Rows that share a value of a property (category ``open_qa``): are they more, or fewer, among the kept?

    ``kept`` and ``dropped`` count them. Shares lie in [0, 1]: ``of_kept`` of all kept rows, ``of_dropped`` of all
    dropped ones; ``difference`` is the first less the second, with Newcombe's interval. ``keeps`` is the share of these
    rows that is kept, with Wilson's. ``p`` is Fisher's, two-sided: how often as many rows drawn blindly would be at
    least as uneven; ``p_holm`` is Holm's over all shifts of the audit.
    """

    property: str
    value: str
    kept: int
    dropped: int
    of_kept: float
    of_dropped: float
    difference: float
    difference_bounds: Bounds
    keeps: float
    keeps_bounds: Bounds
    p: float
    p_holm: float


@dataclass(frozen=True)
class Overlap:
    """Rows that a simple ``reference`` of the same size would have kept too.

    ``expected`` is what as many rows drawn blindly share with the kept ones, ``chance`` where 95 % of such draws lie.
    """

    reference: str
    shared: int
    expected: float
    chance: tuple[int, int]


@dataclass(frozen=True)
class Audit:
    """What a selection keeps against what it drops, over ``compared`` of its ``rows``; largest shifts first."""

    rows: int
    kept: int
    compared: int
    compared_kept: int
    languages: Mapping[str, float]
    """Language of the output -> share of the kept rows; what isn't told is left out."""
    longer: float | None
    """How often a kept output is longer than a dropped one, in [0, 1]; 0.5 where length plays no part."""
    longer_bounds: Bounds | None
    shifts: tuple[Shift, ...]
    overlaps: tuple[Overlap, ...]
    left_out: Mapping[str, str]
    """Property -> why it isn't compared."""

    @property
    def clear(self) -> tuple[Shift, ...]:
        """Shifts that chance doesn't explain: Holm's p below 0.05."""
        return tuple(shift for shift in self.shifts if shift.p_holm < 0.05)

    def figures(self) -> dict[str, float]:
        """Flat names for ``metrics.json``."""
        found: dict[str, float] = {"shifts": len(self.shifts), "clear_shifts": len(self.clear)}
        if self.shifts:
            found["largest_shift"] = abs(self.shifts[0].difference)
        if self.longer is not None:
            found["longer"] = self.longer
        for one in self.overlaps:
            found[f"overlap/{one.reference.replace(' ', '_')}"] = one.shared / self.kept
        return found


def read_audit(path: Path) -> Audit:
    """Raises ValueError for a file that isn't one."""
    return TypeAdapter(Audit).validate_python(json.loads(path.read_text(encoding="utf-8")))
