"""Evaluations whose items are right or wrong as given, in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tss_lab.types import BenchmarkScore, Estimate, EvaluationResult


def result(correct: Mapping[str, Sequence[bool | int]], order: Sequence[int] | slice = slice(None)) -> EvaluationResult:
    """``order``: in which the items lie; their names go with them."""
    items, benchmarks, right = zip(
        *((f"{name}/{index}", name, bool(one)) for name, values in correct.items() for index, one in enumerate(values)),
        strict=True,
    )
    scores = tuple(
        BenchmarkScore(name, name.upper(), Estimate.of_mean(100.0 * np.array(values, dtype=float)))
        for name, values in correct.items()
    )
    return EvaluationResult(
        "label", "SUM", scores, Estimate(0.0, 0.0, len(items)),
        np.array(items, dtype=object)[order], np.array(benchmarks, dtype=object)[order], np.array(right)[order],
    )  # fmt: skip
