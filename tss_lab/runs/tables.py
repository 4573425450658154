"""Examples, alternatives and selections as the folder's tables, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import polars as pl

from tss_lab.types import Alternative, Example, Selection

_CANDIDATE, _HELD_OUT = "candidate", "held out"


def from_examples(
    examples: Sequence[Example], held_out: Sequence[Example], num_target_tokens: Mapping[str, int] | None = None
) -> pl.DataFrame:
    """``examples.parquet``: a row an example. ``extra`` is JSON; ``n_target_tokens`` is null where not counted."""
    counts = num_target_tokens or {}
    rows = [(one, role) for role, mine in ((_CANDIDATE, examples), (_HELD_OUT, held_out)) for one in mine]
    return pl.DataFrame(
        {
            "example_id": [one.example_id for one, _ in rows],
            "role": [role for _, role in rows],
            "instruction": [one.instruction for one, _ in rows],
            "input": [one.input for one, _ in rows],
            "output": [one.output for one, _ in rows],
            "category": [one.category for one, _ in rows],
            "source": [one.source for one, _ in rows],
            "extra": [json.dumps(one.extra, ensure_ascii=False, default=str) for one, _ in rows],
            "n_target_tokens": [counts.get(one.example_id) for one, _ in rows],
        },
        schema={
            **dict.fromkeys(
                ("example_id", "role", "instruction", "input", "output", "category", "source", "extra"), pl.String
            ),
            "n_target_tokens": pl.Int32,
        },
    )


def to_examples(table: pl.DataFrame) -> tuple[list[Example], list[Example]]:
    """Those to choose from, and the held-out ones."""
    found: dict[str, list[Example]] = {_CANDIDATE: [], _HELD_OUT: []}
    for row in table.drop("n_target_tokens").iter_rows(named=True):
        role, extra = row.pop("role"), json.loads(row.pop("extra"))
        found[role].append(Example(**row, extra=extra))
    return found[_CANDIDATE], found[_HELD_OUT]


def from_alternatives(alternatives: Iterable[Alternative]) -> pl.DataFrame:
    """``alternatives.parquet``: example_id, alternative_index, instruction, source, similarity."""
    schema = {
        "example_id": pl.String, "alternative_index": pl.Int32, "instruction": pl.String, "source": pl.String,
        "similarity": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame([asdict(one) for one in alternatives], schema=schema)


def to_alternatives(table: pl.DataFrame) -> list[Alternative]:
    return [Alternative(**row) for row in table.iter_rows(named=True)]


def from_selection(selection: Selection) -> pl.DataFrame:
    """``scores.parquet``: example_id, score, rank (0 is best), kept, weight; a row a scored example."""
    return pl.DataFrame(
        {
            "example_id": selection.example_id_N.astype(str),
            "score": selection.score_N,
            "rank": selection.rank_N,
            "kept": selection.kept_N,
            "weight": selection.weight_N,
        }
    )


def to_selection(table: pl.DataFrame) -> Selection:
    return Selection(
        table["example_id"].to_numpy().astype(object), table["score"].to_numpy(), table["rank"].to_numpy(),
        table["kept"].to_numpy(), table["weight"].to_numpy(),
    )  # fmt: skip
