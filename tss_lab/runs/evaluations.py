"""An evaluation on disk: ``results.json`` and ``samples.parquet`` in one folder.

``results.json`` is written last: a folder without it holds no result.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tss_lab.errors import ArtifactError
from tss_lab.runs import names
from tss_lab.store import parquet_bytes, write_atomic, write_json
from tss_lab.types import BenchmarkScore, Estimate, EvaluationResult

log = logging.getLogger(__name__)

FORMAT_VERSION = 2


@dataclass(frozen=True)
class Evaluated:
    """A result, and what was asked: model, label, shots, metric, engine, versions of the tasks."""

    result: EvaluationResult
    facts: Mapping[str, Any]


def summarise(
    samples: pl.DataFrame, titles: Mapping[str, str], *, label: str, total_name: str, is_demonstration: bool
) -> EvaluationResult:
    """Accuracies in percent from a row an item (benchmark, item_id, correct, num_choices).

    ``titles`` maps each benchmark to what it is called. Each is a mean over its items (over all subjects' items
    for MMLU, as lm-eval weighs them); the standard error is that of a mean. Benchmarks are independent, so the
    sum's variance is the sum of theirs.
    """
    scores = []
    for name, title in titles.items():
        rows = samples.filter(pl.col("benchmark") == name)
        if not len(rows):
            raise ArtifactError(f"the evaluation holds no item of {name}; evaluate again")
        accuracy = Estimate.of_mean(100.0 * rows["correct"].to_numpy().astype(np.float64))
        chance = 100.0 * float((1.0 / rows["num_choices"].to_numpy()).mean())
        scores.append(BenchmarkScore(name, title, accuracy, chance))
    return EvaluationResult(
        label=label,
        total_name=total_name,
        benchmarks=tuple(scores),
        total=Estimate(
            sum(score.accuracy.value for score in scores),
            math.sqrt(sum(score.accuracy.standard_error**2 for score in scores)),
            sum(score.accuracy.n for score in scores),
        ),
        item_id_N=samples["item_id"].to_numpy().astype(object),
        item_benchmark_N=samples["benchmark"].to_numpy().astype(object),
        correct_N=samples["correct"].to_numpy().astype(np.bool_),
        is_demonstration=is_demonstration,
    )


def write_evaluation(folder: Path, samples: pl.DataFrame, result: EvaluationResult, facts: Mapping[str, Any]) -> None:
    """Writes the items, then the numbers. ``facts`` says what was asked and run."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / names.SAMPLES, parquet_bytes(samples))
    content = {
        "format_version": FORMAT_VERSION,
        "label": result.label,
        "total_name": result.total_name,
        "is_demonstration": result.is_demonstration,
        "benchmarks": {score.name: score.display_name for score in result.benchmarks},
        "metrics": flat_metrics(result),
        **facts,
    }
    write_json(folder / names.RESULTS, content)


def read_evaluation(folder: Path) -> Evaluated | None:
    """The result in ``folder``; None where there is none, or one that has lost its items or is of an older format.

    Raises ArtifactError for one of a newer version, or one that can't be read.
    """
    path = folder / names.RESULTS
    if not path.exists():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        version = int(facts["format_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} can't be read ({error}); delete it and evaluate again") from error
    if version > FORMAT_VERSION:
        raise ArtifactError(f"{path} was written by a newer tss_lab (format {version}); update tss_lab")
    if version < FORMAT_VERSION:
        return None
    if not (folder / names.SAMPLES).exists():
        log.warning("%s has lost its %s", folder, names.SAMPLES)
        return None
    try:
        result = summarise(
            pl.read_parquet(folder / names.SAMPLES), facts["benchmarks"], label=facts["label"],
            total_name=facts["total_name"], is_demonstration=facts["is_demonstration"],
        )  # fmt: skip
    except (OSError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(
            f"{folder / names.SAMPLES} can't be read ({reason}); delete it and evaluate again"
        ) from error
    return Evaluated(result, facts)


def copy_evaluation(source: Path, target: Path) -> None:
    """The same result in another folder, numbers last."""
    target.mkdir(parents=True, exist_ok=True)
    for name in (names.SAMPLES, names.RESULTS):
        write_atomic(target / name, (source / name).read_bytes())


def flat_metrics(result: EvaluationResult) -> dict[str, float]:
    """Flat names for ``metrics.json``: ``<benchmark>``, ``<benchmark>_stderr``, ``<benchmark>_items``, and of ``sum``.

    The standard error of a single item is undefined and left out.
    """
    estimates = {score.name: score.accuracy for score in result.benchmarks} | {"sum": result.total}
    metrics: dict[str, float] = {}
    for name, estimate in estimates.items():
        metrics[name] = estimate.value
        metrics[f"{name}_items"] = estimate.n
        if math.isfinite(estimate.standard_error):
            metrics[f"{name}_stderr"] = estimate.standard_error
    return metrics
