"""Results of an evaluation on disk: ``results.json`` and ``samples.parquet`` in one folder.

A result is named by a key over the model's fingerprint and all that determines the numbers, so that the
same question is answered once. ``results.json`` is written last: a folder without it holds no result.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tss_lab.config import EvalConfig
from tss_lab.errors import ArtifactError
from tss_lab.evaluation.benchmarks import display_name, result_label, source_identity, total_name
from tss_lab.store import fingerprint, write_atomic, write_json
from tss_lab.types import BenchmarkScore, Estimate, EvaluationResult

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
RESULTS = "results.json"
SAMPLES = "samples.parquet"


def evaluation_key(config: EvalConfig, model_fingerprint: str) -> str:
    """16 hex letters that change when the model, the items or the harness change."""
    return fingerprint(
        {
            "format_version": FORMAT_VERSION,
            "model": model_fingerprint,
            "items": source_identity(config),
            "mini": config.name == "mini",
            "limit": config.limit,
            "engine": config.engine,
            "lm_eval": importlib.metadata.version("lm-eval"),
        }
    )


def summarise(samples: pl.DataFrame, config: EvalConfig) -> EvaluationResult:
    """Accuracies in percent from a row an item (benchmark, item_id, correct, num_choices).

    Each benchmark is a mean over its items (over all subjects' items for MMLU, as lm-eval weighs them);
    the standard error is that of a mean. Benchmarks are independent, so the sum's variance is the sum of
    theirs.
    """
    scores = []
    for name in config.benchmarks:
        rows = samples.filter(pl.col("benchmark") == name)
        accuracy = Estimate.of_mean(100.0 * rows["correct"].to_numpy().astype(np.float64))
        chance = 100.0 * float((1.0 / rows["num_choices"].to_numpy()).mean())
        scores.append(BenchmarkScore(name, display_name(config, name), accuracy, chance))
    return EvaluationResult(
        label=result_label(config),
        total_name=total_name(config),
        benchmarks=tuple(scores),
        total=Estimate(
            sum(score.accuracy.value for score in scores),
            math.sqrt(sum(score.accuracy.standard_error**2 for score in scores)),
            sum(score.accuracy.n for score in scores),
        ),
        item_id_N=samples["item_id"].to_numpy().astype(object),
        item_benchmark_N=samples["benchmark"].to_numpy().astype(object),
        correct_N=samples["correct"].to_numpy().astype(np.bool_),
    )


def save_result(folder: Path, samples: pl.DataFrame, result: EvaluationResult, key: str, facts: dict[str, Any]) -> None:
    """Writes the items, then the numbers. ``facts`` says what was run: model, harness, engine, seconds."""
    buffer = io.BytesIO()
    samples.write_parquet(buffer)
    write_atomic(folder / SAMPLES, buffer.getvalue())
    content = {
        "format_version": FORMAT_VERSION,
        "key": key,
        "label": result.label,
        "metrics": flat_metrics(result),
        **facts,
    }
    write_json(folder / RESULTS, content)


def find_result(folder: Path, config: EvalConfig, model_fingerprint: str) -> EvaluationResult | None:
    """The result that lies in ``folder``, if it answers this question; needs no model and no harness.

    Raises ArtifactError when the folder was written by a newer version.
    """
    path = folder / RESULTS
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["format_version"] > FORMAT_VERSION:
        raise ArtifactError(
            f"{path} was written by a newer tss_lab (format {content['format_version']}); update tss_lab"
        )
    if content["key"] != evaluation_key(config, model_fingerprint):
        return None
    if not (folder / SAMPLES).exists():
        log.warning("%s has lost its %s; the evaluation runs again", folder, SAMPLES)
        return None
    return summarise(pl.read_parquet(folder / SAMPLES), config)


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
