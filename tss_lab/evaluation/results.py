"""Which evaluation answers which question: a key over the model's fingerprint and all that determines the numbers."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import polars as pl

from tss_lab.config import EvalConfig
from tss_lab.evaluation.benchmarks import display_name, result_label, source_identity, total_name
from tss_lab.runs.evaluations import FORMAT_VERSION, read_evaluation, summarise
from tss_lab.store import fingerprint
from tss_lab.types import EvaluationResult


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


def accuracies(samples: pl.DataFrame, config: EvalConfig) -> EvaluationResult:
    """Accuracies in percent from a row an item, called what this evaluation calls them."""
    titles: dict[str, str] = {name: display_name(config, name) for name in config.benchmarks}
    return summarise(
        samples, titles, label=result_label(config), total_name=total_name(config),
        is_demonstration=config.name == "mini",
    )  # fmt: skip


def find_result(folder: Path, config: EvalConfig, model_fingerprint: str) -> EvaluationResult | None:
    """The result that lies in ``folder``, if it answers this question; needs no model and no harness.

    Raises ArtifactError when the folder was written by a newer version, or can't be read.
    """
    found = read_evaluation(folder)
    if found is None or found.facts.get("key") != evaluation_key(config, model_fingerprint):
        return None
    return found.result
