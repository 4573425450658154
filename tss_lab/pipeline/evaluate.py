"""Step 7: the untuned and the tuned model, on benchmarks and on held-out examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tss_lab.config import ModelConfig
from tss_lab.store import fingerprint
from tss_lab.types import EvaluationResult, HeldOutMeasure, PromptKind

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tss_lab.models import LocalModel
    from tss_lab.pipeline.steps import Pipeline


@dataclass(frozen=True)
class Evaluation:
    """What the models came to; None where there was nothing to evaluate, or it wasn't asked for."""

    zero_shot: EvaluationResult | None = None
    tuned: EvaluationResult | None = None
    held_out: Sequence[HeldOutMeasure] = ()


def evaluate_models(run: Pipeline) -> Evaluation:
    """Benchmarks and held-out measures of the untuned model and, where there is one, the tuned."""
    from tss_lab.evaluation.results import flat_metrics
    from tss_lab.models import resolve_model

    config, folder = run.config, run.tuned_folder
    tuned: _Loadable | None = None
    if folder is not None:
        tuned = _Loadable(resolve_model(ModelConfig(name=config.run_name, path=str(folder)), config.paths.cache))
    results: dict[str, EvaluationResult] = {}
    if config.eval.name != "none":
        if config.eval.baseline or tuned is None:
            # The same for every run of a sweep, so it lies in the store.
            identity = {"model": run.model.identity(), "eval": config.eval.model_dump(mode="json")}
            shared = run.store.root / "evaluations" / fingerprint(identity)
            results["zero_shot"] = _on_benchmarks(run, _Loadable(run.model), shared)
        if tuned is not None:
            results["tuned"] = _on_benchmarks(run, tuned, run.book.path / "eval")
        for name, result in results.items():
            run.book.measure(f"eval/{name}", flat_metrics(result))
    held_out = _on_held_out(run, tuned)
    for measure in held_out:
        for when in ("before", "after", "difference"):
            estimate = getattr(measure, when)
            if estimate is not None:
                values = {when: estimate.value, f"{when}_stderr": estimate.standard_error}
                run.book.measure(f"held_out/{measure.name}", values)
    return Evaluation(**results, held_out=held_out)


class _Loadable:
    """A model that is loaded when a measure needs it, and once."""

    def __init__(self, local: LocalModel):
        self.local = local

    @cached_property
    def loaded(self) -> PreTrainedModel:
        import torch

        from tss_lab.models import load_model

        return load_model(self.local.folder, device="cuda" if torch.cuda.is_available() else "cpu")


def _on_benchmarks(run: Pipeline, model: _Loadable, output: Path) -> EvaluationResult:
    from tss_lab.evaluation.results import find_result

    name = fingerprint(model.local.identity())
    known = find_result(output, run.config.eval, name)
    if known is not None:
        return known
    from tss_lab.engine.score import score_pairs
    from tss_lab.evaluation.harness import evaluate
    from tss_lab.models import load_tokenizer

    scorer = partial(score_pairs, model.loaded, scoring=run.config.scoring, progress="evaluating")
    return evaluate(model.loaded, load_tokenizer(model.local.folder), run.config.eval, output, name, scorer)


def _on_held_out(run: Pipeline, tuned: _Loadable | None) -> list[HeldOutMeasure]:
    """Loss and instruction sensitivity of both models; nothing without held-out examples."""
    if not run.dataset.held_out:
        return []
    from tss_lab.evaluation.heldout import held_out_measures
    from tss_lab.scoring import to_likelihoods

    kinds = {PromptKind.TRUE} | ({PromptKind.ALTERNATIVE} if run.wants_sensitivity else set())
    plan = run.plan_of(run.dataset.held_out, frozenset(kinds))
    before = to_likelihoods(run.pass_over(plan).frame)
    if tuned is None:
        return held_out_measures(before)
    return held_out_measures(before, to_likelihoods(_scored(tuned, plan.pairs, run)))


def _scored(model: _Loadable, pairs: Sequence[Any], run: Pipeline) -> Any:
    from tss_lab.engine.score import score_pairs
    from tss_lab.scoring.table import stored_rows

    loglik_P, _ = score_pairs(model.loaded, pairs, run.config.scoring, progress="held-out examples")
    return stored_rows(pairs, loglik_P)
