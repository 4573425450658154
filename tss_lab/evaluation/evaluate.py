"""One model on the benchmarks: found where it was evaluated before, else loaded and evaluated."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tss_lab.config import EvalConfig, ScoringConfig
from tss_lab.evaluation.results import evaluation_key, find_result
from tss_lab.models import LocalModel
from tss_lab.runs.evaluations import copy_evaluation
from tss_lab.store import fingerprint
from tss_lab.types import EvaluationResult


def evaluate_model(local: LocalModel, config: EvalConfig, scoring: ScoringConfig, output: Path) -> EvaluationResult:
    """Accuracies of a model, written to ``output`` with every item; read from there where they answer this question.

    Raises EvaluationError when the items can't be had or can't be used.
    """
    name = fingerprint(local.identity())
    known = find_result(output, config, name)
    if known is not None:
        return known
    import torch

    from tss_lab.engine.score import score_pairs
    from tss_lab.evaluation.harness import evaluate
    from tss_lab.models import load_model, load_tokenizer

    model = load_model(local.folder, device="cuda" if torch.cuda.is_available() else "cpu")
    scorer = partial(score_pairs, model, scoring=scoring, progress="evaluating")
    return evaluate(model, load_tokenizer(local.folder), config, output, name, scorer)


def evaluate_untuned(
    local: LocalModel, config: EvalConfig, scoring: ScoringConfig, store: Path, output: Path
) -> EvaluationResult:
    """The same for an untuned model, whose result lies in the store once for every run of a sweep and is copied."""
    shared = store / "evaluations" / evaluation_key(config, fingerprint(local.identity()))
    found = evaluate_model(local, config, scoring, shared)
    copy_evaluation(shared, output)
    return found
