"""Two models on the same items: differences that are taken item by item. numpy and scipy only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tss_lab.statistics import interval
from tss_lab.types import BoolArray, Estimate, EvaluationResult, FloatArray


def paired_difference(before_N: FloatArray, after_N: FloatArray) -> Estimate:
    """Mean of ``after − before`` on the same N observations, with the standard error of a mean.

    For right/wrong items this is McNemar's variance, up to the factor N/(N−1).
    """
    if len(before_N) != len(after_N):
        raise ValueError(f"a paired comparison needs the same observations, got {len(before_N)} and {len(after_N)}")
    return Estimate.of_mean(np.asarray(after_N, dtype=np.float64) - np.asarray(before_N, dtype=np.float64))


@dataclass(frozen=True)
class ItemComparison:
    """Two models on the same items of one benchmark, or on all of them (``name`` = ``sum``).

    ``difference`` is in percent points, after − before; ``gained`` items only the second model has right,
    ``lost`` only the first.
    """

    name: str
    display_name: str
    difference: Estimate
    gained: int
    lost: int

    @property
    def is_unchanged(self) -> bool:
        """Whether both models have the very same items right."""
        return not self.gained + self.lost

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval; None where the items show no spread, as when none changed: they don't say how sure that is."""
        if self.is_unchanged or not self.difference.standard_error > 0:
            return None
        return interval(self.difference)


def compare_results(before: EvaluationResult, after: EvaluationResult) -> list[ItemComparison]:
    """Paired differences for each benchmark, and last for their sum, whose variance is the sum of theirs.

    Raises ValueError when the two results aren't over the same items.
    """
    after_correct_N = correct_in_order(after, before)
    compared = []
    for score in before.benchmarks:
        mine = before.item_benchmark_N == score.name
        old, new = before.correct_N[mine], after_correct_N[mine]
        difference = paired_difference(100.0 * old.astype(np.float64), 100.0 * new.astype(np.float64))
        compared.append(
            ItemComparison(score.name, score.display_name, difference, int(np.sum(new & ~old)), int(np.sum(old & ~new)))
        )
    total = Estimate(
        sum(one.difference.value for one in compared),
        math.sqrt(sum(one.difference.standard_error**2 for one in compared)),
        sum(one.difference.n for one in compared),
    )
    gained, lost = sum(one.gained for one in compared), sum(one.lost for one in compared)
    return [*compared, ItemComparison("sum", before.total_name, total, gained, lost)]


def correct_in_order(result: EvaluationResult, reference: EvaluationResult) -> BoolArray:
    """Which items ``result`` has right, (N,), in the reference's order of items.

    Raises ValueError when the two results aren't over the same items.
    """
    position = {item: index for index, item in enumerate(result.item_id_N)}
    if set(position) != set(reference.item_id_N) or len(result.item_id_N) != len(reference.item_id_N):
        raise ValueError("the two results are not over the same items, so they can't be compared item by item")
    correct_N: BoolArray = result.correct_N[np.array([position[item] for item in reference.item_id_N], dtype=np.int64)]
    return correct_N
