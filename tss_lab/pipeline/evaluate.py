"""Step 7: the untuned and the tuned model, on benchmarks and on held-out examples."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tss_lab.errors import ArtifactError
from tss_lab.pipeline.outputs import write_held_out
from tss_lab.store import fingerprint
from tss_lab.types import EvaluationResult, HeldOutMeasure

if TYPE_CHECKING:
    from tss_lab.models import LocalModel
    from tss_lab.pipeline.steps import Pipeline


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What the models came to; None where there was nothing to evaluate, or it wasn't asked for."""

    zero_shot: EvaluationResult | None = None
    tuned: EvaluationResult | None = None
    held_out: Sequence[HeldOutMeasure] = ()


def evaluate_models(run: Pipeline) -> Evaluation | None:
    """Benchmarks and held-out measures of the untuned model and, where there is one, the tuned.

    Every process takes part in the held-out pass; the rest is the first one's, and None on the others.
    Without the stage ``evaluation`` only what is there already is found.
    """
    held_out = _held_out_measures(run)
    if not run.book.is_writer:
        return None
    from tss_lab.evaluation.results import flat_metrics

    config, tuned = run.config, run.tuned_model
    results: dict[str, EvaluationResult] = {}
    if config.eval.name != "none":
        if config.eval.baseline or tuned is None:
            # The same for every run of a sweep, so it lies in the store.
            identity = {"model": run.model.identity(), "eval": config.eval.model_dump(mode="json")}
            shared = run.store.root / "evaluations" / fingerprint(identity)
            results |= _on_benchmarks(run, "zero_shot", run.model, shared)
        if tuned is not None:
            results |= _on_benchmarks(run, "tuned", tuned, run.book.path / "eval")
        for name, result in results.items():
            run.book.measure(f"eval/{name}", flat_metrics(result))
    for measure in held_out:
        for when in ("before", "after", "difference"):
            estimate = getattr(measure, when)
            if estimate is not None:
                values = {when: estimate.value, f"{when}_stderr": estimate.standard_error}
                run.book.measure(f"held_out/{measure.name}", values)
    return Evaluation(**results, held_out=held_out)


def _on_benchmarks(run: Pipeline, which: str, local: LocalModel, output: Path) -> dict[str, EvaluationResult]:
    """``{which: result}``; empty where there is none and none may be computed."""
    from tss_lab.evaluation.results import find_result

    name = fingerprint(local.identity())
    known = find_result(output, run.config.eval, name)
    if known is not None:
        return {which: known}
    if "evaluation" not in run.stages:
        return {}
    import torch

    from tss_lab.engine.score import score_pairs
    from tss_lab.evaluation.harness import evaluate
    from tss_lab.models import load_model, load_tokenizer

    model = load_model(local.folder, device="cuda" if torch.cuda.is_available() else "cpu")
    scorer = partial(score_pairs, model, scoring=run.config.scoring, progress="evaluating")
    return {which: evaluate(model, load_tokenizer(local.folder), run.config.eval, output, name, scorer)}


def _held_out_measures(run: Pipeline) -> list[HeldOutMeasure]:
    """Loss and instruction sensitivity of both models; nothing without held-out examples."""
    from tss_lab.evaluation.heldout import held_out_measures

    try:
        likelihoods = run.held_out_likelihoods
    except ArtifactError as error:
        if "evaluation" in run.stages:
            raise
        log.info("no held-out measures: %s", error)
        return []
    if likelihoods is None:
        return []
    if run.book.is_writer:
        write_held_out(run.book.path / "eval" / "held_out.parquet", *likelihoods)
    return held_out_measures(*likelihoods)
