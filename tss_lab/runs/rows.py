"""People get their rows back: the source's own columns beside what the run made of them, as JSON Lines."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tss_lab.types import Example, Selection, SourceRow


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A row of the source and what a run made of it, as ``scored.jsonl`` has it."""

    row: int
    """From 1, in the source's order."""
    example_id: str | None
    score: float | None
    rank: int | None
    """0 is best."""
    kept: bool
    weight: float
    set_aside: str | None
    """Why it has no score."""
    columns: Mapping[str, Any]
    """The source's own."""


_OURS = tuple(column.name for column in fields(ScoredRow) if column.name != "columns")


def to_scored(values: Mapping[str, Any]) -> ScoredRow:
    """A line of ``scored.jsonl``. Raises KeyError where it lacks one of the run's own values."""
    own = {name: value for name, value in values.items() if name not in _OURS}
    return ScoredRow(**{name: values[name] for name in _OURS}, columns=own)


def scored_lines(rows: Sequence[SourceRow], selection: Selection, reasons: Mapping[str, str]) -> Iterator[str]:
    """``scored.jsonl``: every row in the source's order, its own columns first.

    Then ``row`` (from 1), ``example_id``, ``score``, ``rank`` (0 is best), ``kept``, ``weight``, and ``set_aside``:
    the reason where a row has no score. A column of the source with one of these names is called ``source.<name>``.

    Args:
        reasons: example -> why a later step set it aside.
    """
    place = {str(example_id): n for n, example_id in enumerate(selection.example_id_N)}
    for number, row in enumerate(rows, start=1):
        n = place.get(row.example_id or "") if row.reason is None else None
        values: dict[str, Any] = {"row": number, "example_id": row.example_id}
        if n is None:
            why = row.reason or reasons.get(row.example_id or "", "it could not be scored")
            values |= {"score": None, "rank": None, "kept": False, "weight": 0.0, "set_aside": why}
        else:
            values |= {
                "score": float(selection.score_N[n]), "rank": int(selection.rank_N[n]),
                "kept": bool(selection.kept_N[n]), "weight": float(selection.weight_N[n]), "set_aside": None,
            }  # fmt: skip
        yield _line({**_columns(row.columns, _OURS), **values})


def selected_lines(selection: Selection, examples: Sequence[Example], rows: Sequence[SourceRow] = ()) -> Iterator[str]:
    """``selected.jsonl``: the kept rows, best first, ready for any trainer that reads instruction data.

    ``instruction``, ``input``, ``output``, ``weight``, ``score`` and ``example_id``, then the source's other columns
    (a conversation's messages among them).
    """
    by_id = {example.example_id: example for example in examples}
    columns = {row.example_id: row.columns for row in rows if row.reason is None}
    kept = np.flatnonzero(selection.kept_N)
    for n in kept[np.argsort(selection.rank_N[kept])]:
        example = by_id[str(selection.example_id_N[n])]
        public: dict[str, Any] = {
            "instruction": example.instruction,
            "input": example.input,
            "output": example.output,
            "weight": float(selection.weight_N[n]),
            "score": float(selection.score_N[n]),
            "example_id": example.example_id,
        }
        own = columns.get(example.example_id, {})
        others = {name: value for name, value in own.items() if name not in public or (value or "") != public[name]}
        yield _line({**public, **_columns(others, public)})


def _columns(own: Mapping[str, Any], taken: Collection[str]) -> dict[str, Any]:
    return {f"source.{name}" if name in taken else str(name): _plain(value) for name, value in own.items()}


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def _plain(value: Any) -> Any:
    """JSON has no word for NaN: null in its place, as polars and pandas read it back."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
