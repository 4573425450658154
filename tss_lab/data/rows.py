"""What a reader yields: a row as it stands in the source, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OTHER_CATEGORY = "category not asked for"


@dataclass(frozen=True, slots=True)
class RawRow:
    """One unchecked training triple. ``where`` finds it again: ``row 12 of my.jsonl`` (rows count from 1).

    ``columns`` is the row as the source has it; people get it back beside the scores.
    """

    where: str
    instruction: object
    input: object
    output: object
    category: object = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UnusableRow:
    """A row that can't become a triple. ``reason`` is one of few; ``detail`` says what stands there."""

    where: str
    reason: str
    detail: str
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FilteredRows:
    """``count`` rows of one category that the settings leave out (another category or language, a cap)."""

    reason: str
    count: int
    category: str | None = None
