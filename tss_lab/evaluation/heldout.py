"""Held-out measures from likelihoods: how well the outputs are predicted, how much the instruction matters.

No model code: the likelihoods of the held-out examples under the untuned and the tuned model come in.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from tss_lab.errors import EvaluationError
from tss_lab.methods.tss import task_specificity
from tss_lab.runs import Step, names
from tss_lab.types import Estimate, FloatArray, HeldOutMeasure, Likelihoods


def record_held_out(step: Step, before: Likelihoods, after: Likelihoods | None) -> None:
    """What they say of the untuned and, where there is one, the tuned model, into the run's folder."""
    measures = held_out_measures(before, after)
    step.write(names.HELD_OUT, held_out_table(before, after))
    step.record(held_out=[asdict(one) for one in measures])
    for one in measures:
        step.measure(f"held_out/{one.name}", one.figures())


def held_out_measures(before: Likelihoods, after: Likelihoods | None = None) -> list[HeldOutMeasure]:
    """Loss and instruction sensitivity on the held-out examples, with paired differences.

    ``nll``: negative log-likelihood a target token, over all tokens of all outputs; examples, not tokens,
    are the independent observations. ``sensitivity``: mean TSS (Eq. 1) over the examples that have
    alternatives; left out where none has. Raises EvaluationError when ``after`` isn't over the same
    examples in the same order.
    """
    if after is not None and not np.array_equal(before.example_id_N, after.example_id_N):
        raise EvaluationError("the held-out likelihoods before and after tuning are not over the same examples")
    if len(before) == 0:
        return []
    token_N = before.num_target_tokens_N
    measures = [
        HeldOutMeasure(
            "nll",
            "Loss on held-out outputs",
            "nats a token",
            "lower",
            Estimate.of_ratio(-before.true_loglik_N, token_N),
            None if after is None else Estimate.of_ratio(-after.true_loglik_N, token_N),
            None if after is None else Estimate.of_ratio(before.true_loglik_N - after.true_loglik_N, token_N),
        )
    ]
    has_alternatives_N = before.num_alternatives_N > 0
    if after is not None:
        has_alternatives_N &= after.num_alternatives_N > 0
    old_M = specificity(before)[has_alternatives_N]
    if not len(old_M) or not np.isfinite(old_M).all():
        return measures
    new_M = None if after is None else specificity(after)[has_alternatives_N]
    measures.append(
        HeldOutMeasure(
            "sensitivity",
            "Instruction sensitivity (mean TSS)",
            "nats",
            "higher",
            Estimate.of_mean(old_M),
            None if new_M is None else Estimate.of_mean(new_M),
            None if new_M is None else Estimate.of_mean(new_M - old_M),
        )
    )
    return measures


def specificity(likelihoods: Likelihoods) -> FloatArray:
    """TSS (Eq. 1) of each example in nats: (N,); NaN where an example has no alternative."""
    tss_N = np.full(len(likelihoods), np.nan)
    has_N = likelihoods.num_alternatives_N > 0
    if has_N.any():
        tss_N[has_N] = task_specificity(
            likelihoods.true_loglik_N[has_N], likelihoods.alternative_loglik_NK[has_N],
            likelihoods.num_alternatives_N[has_N],
        )  # fmt: skip
    return tss_N


def held_out_table(before: Likelihoods, after: Likelihoods | None) -> pl.DataFrame:
    """``eval/held_out.parquet``: a row a held-out example, log-likelihood and TSS in nats before and after tuning.

    TSS is null where an example has no alternatives, ``*_after`` where no model was tuned.
    """
    columns: dict[str, Any] = {
        "example_id": before.example_id_N.astype(str),
        "n_target_tokens": before.num_target_tokens_N,
    }
    for when, likelihoods in (("before", before), ("after", after)):
        found = None if likelihoods is None else likelihoods.true_loglik_N
        columns[f"loglik_{when}"] = found
        columns[f"tss_{when}"] = None if likelihoods is None else pl.Series(specificity(likelihoods)).fill_nan(None)
    return pl.DataFrame(columns)
