"""Step 7: the untuned and the tuned model, on benchmarks and on held-out examples."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tss_lab.config import ModelConfig
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
    held_out: Sequence[HeldOutMeasure] = field(default_factory=tuple)


def evaluate_models(run: Pipeline) -> Evaluation:
    """Benchmarks and held-out measures of the untuned model and, where there is one, the tuned."""
    from tss_lab.evaluation.results import flat_metrics
    from tss_lab.models import resolve_model

    config, folder = run.config, run.tuned_folder
    tuned = folder and resolve_model(ModelConfig(name=config.run_name, path=str(folder)), config.paths.cache)
    zero_shot = tuned_result = None
    if config.eval.name != "none":
        if config.eval.baseline or tuned is None:
            zero_shot = _on_benchmarks(run, run.model, _shared_folder(run))
            run.book.measure("eval/zero_shot", flat_metrics(zero_shot))
        if tuned is not None:
            tuned_result = _on_benchmarks(run, tuned, run.book.path / "eval")
            run.book.measure("eval/tuned", flat_metrics(tuned_result))
    held_out = _held_out(run, tuned)
    for measure in held_out:
        run.book.measure(f"held_out/{measure.name}", {
            "before": measure.before.value, "before_stderr": measure.before.standard_error,
            **({"after": measure.after.value, "after_stderr": measure.after.standard_error} if measure.after else {}),
            **({"difference": measure.difference.value, "difference_stderr": measure.difference.standard_error} if measure.difference else {}),
        })  # fmt: skip
    return Evaluation(zero_shot, tuned_result, held_out)


def _shared_folder(run: Pipeline) -> Path:
    """The untuned model's results are the same for every run of a sweep, so they lie in the store."""
    identity = {"model": run.model.identity(), "eval": run.config.eval.model_dump(mode="json")}
    return run.store.root / "evaluations" / fingerprint(identity)


def _on_benchmarks(run: Pipeline, model: LocalModel, output: Path) -> EvaluationResult:
    from tss_lab.evaluation.results import find_result

    name = fingerprint(model.identity())
    known = find_result(output, run.config.eval, name)
    if known is not None:
        return known
    from tss_lab.evaluation.harness import evaluate
    from tss_lab.models import load_tokenizer

    loaded, score = _loaded_scorer(run, model)
    return evaluate(loaded, load_tokenizer(model.folder), run.config.eval, output, name, score)
