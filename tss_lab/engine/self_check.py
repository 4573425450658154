"""A few pairs computed a second time by the plain path: what every user of the engine does before it relies on it.

Token by token: a wrong attention moves log-probabilities up and down, and their sum over a target may come
out right by chance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tss_lab.engine.tree import sort_key
from tss_lab.types import FloatArray, TokenPair

TOLERANCE = {"float32": 1e-4, "float16": 0.02, "bfloat16": 0.25}
"""Nats a target token, on average over a target. Measured between two attention kernels on SmolLM2-135M and
Gemma-3-270M: 3e-6 in float32, up to 0.003 in float16, 0.02 and 0.15 in bfloat16 (Gemma's activations are large).
Attention that is wrong by 5 % moves SmolLM2's tokens by 0.06 to 0.1."""
_SHORT_TARGET = 8
"""A shorter target may differ by as much as eight tokens: rounding moves single ones by several times the mean."""
_LONGEST_TARGET = 256
"""Whole logits of more tokens would take more memory than the pass itself."""

TokenScorer = Callable[[Sequence[TokenPair]], list[FloatArray]]
"""Pairs -> the log-probability of each target token, an array a pair, in nats."""


@dataclass(frozen=True)
class SelfCheck:
    """How far apart packed and plain computation are, over ``num_pairs`` pairs.

    ``difference`` is the largest between two summed log-likelihoods, in nats. What is judged is
    ``per_token``, the largest mean distance of a target's tokens, in nats a token, against ``tolerance``.
    """

    num_pairs: int
    difference: float
    per_token: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.per_token <= self.tolerance  # not a number doesn't pass

    def __str__(self) -> str:
        return (
            f"packed and plain computation differ by {self.per_token:.2g} nats a token on {self.num_pairs} pairs "
            f"(at most {self.tolerance:g} allowed)"
        )


def self_check(pairs: Sequence[TokenPair], num: int, dtype: str, packed: TokenScorer, plain: TokenScorer) -> SelfCheck:
    """Compares two ways to compute ``num`` of the pairs: the longest one and those that share most with it.

    Args:
        dtype: that of the computation, a key of ``TOLERANCE``.
        packed: the pairs together, as they are used.
        plain: each by itself, through the model's own attention.
    """
    chosen = _chosen(pairs, num)
    together, alone = packed(chosen), plain(chosen)
    sums, means = [0.0], [0.0]
    for first_R, second_R in zip(together, alone, strict=True):
        both_R = np.isfinite(first_R) | np.isfinite(second_R)  # damaged weights spoil both alike: not for us to judge
        apart_R = np.asarray(first_R, np.float64)[both_R] - np.asarray(second_R, np.float64)[both_R]
        sums.append(abs(float(apart_R.sum())))
        means.append(float(np.abs(apart_R).sum()) / max(len(apart_R), _SHORT_TARGET))
    return SelfCheck(len(chosen), float(np.max(sums)), float(np.max(means)), TOLERANCE[dtype])


def _chosen(pairs: Sequence[TokenPair], num: int) -> list[TokenPair]:
    """The longest pair and its neighbours in the order of ids, long targets cut."""
    if not num or not pairs:
        return []
    order = sorted(range(len(pairs)), key=lambda i: sort_key(pairs[i].prompt_ids, pairs[i].target_ids))
    middle = int(np.argmax([len(pairs[i].prompt_ids) + min(len(pairs[i].target_ids), _LONGEST_TARGET) for i in order]))
    start = max(0, min(middle - num // 2, len(order) - num))
    chosen = [pairs[i] for i in order[start : start + num]]
    return [dataclasses.replace(pair, target_ids=pair.target_ids[:_LONGEST_TARGET]) for pair in chosen]
