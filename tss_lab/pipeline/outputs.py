"""The files of a run that other programs read."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tss_lab.config import RunConfig
from tss_lab.evaluation.heldout import specificity
from tss_lab.store import write_atomic
from tss_lab.types import Example, Likelihoods, Selection


def write_scores(path: Path, selection: Selection) -> None:
    """``scores.parquet``: example_id, score, rank (0 is best), kept, weight; a row a scored example."""
    buffer = io.BytesIO()
    pl.DataFrame(
        {
            "example_id": selection.example_id_N.astype(str),
            "score": selection.score_N,
            "rank": selection.rank_N,
            "kept": selection.kept_N,
            "weight": selection.weight_N,
        }
    ).write_parquet(buffer)
    write_atomic(path, buffer.getvalue())


def write_selected(path: Path, selection: Selection, examples: Sequence[Example]) -> None:
    """``selected.jsonl``: the kept rows, best first, ready for any trainer that reads instruction data."""
    by_id = {example.example_id: example for example in examples}
    kept = np.flatnonzero(selection.kept_N)
    lines = []
    for n in kept[np.argsort(selection.rank_N[kept])]:
        example = by_id[str(selection.example_id_N[n])]
        row = {
            "instruction": example.instruction,
            "input": example.input,
            "output": example.output,
            "weight": float(selection.weight_N[n]),
            "score": float(selection.score_N[n]),
            "example_id": example.example_id,
        }
        lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
    write_atomic(path, "".join(lines))


def write_held_out(path: Path, before: Likelihoods, after: Likelihoods | None) -> None:
    """``eval/held_out.parquet``: a row a held-out example, log-likelihood and TSS in nats before and after tuning.

    TSS is null where an example has no alternatives, ``*_after`` where no model was tuned.
    """
    columns: dict[str, Any] = {
        "example_id": before.example_id_N.astype(str),
        "n_target_tokens": before.num_target_tokens_N,
    }
    for when, likelihoods in (("before", before), ("after", after)):
        if likelihoods is None:
            columns |= {f"loglik_{when}": None, f"tss_{when}": None}
            continue
        tss_N = specificity(likelihoods)
        columns[f"loglik_{when}"] = likelihoods.true_loglik_N
        columns[f"tss_{when}"] = pl.Series(tss_N).replace(np.inf, None)
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())


def model_card(config: RunConfig) -> dict[str, Any]:
    """What the model card of a run's tuned model states."""
    return {
        "base_model": config.model.path or config.model.name, "licence": config.model.licence,
        "dataset": config.dataset.path or config.dataset.hub_id or config.dataset.name,
        "method": config.method.name, "rho": config.rho, "budget": config.budget.kind, "seed": config.seed,
        "weighting": config.method.weighting.model_dump(mode="json"), "run": config.run_name,
    }  # fmt: skip
