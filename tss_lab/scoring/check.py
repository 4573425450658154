"""Every run checks itself: a few pairs by the plain path, and low precision against float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tss_lab.engine.score import Scorer, plain_score
from tss_lab.engine.tree import sort_key
from tss_lab.types import TokenPair

TOLERANCE = {"float32": 1e-3, "bfloat16": 2.0, "float16": 0.5}
"""Nats between the tree and the plain path. In float32 each is within 5e-4 of the truth."""
_LONGEST_TARGET = 256
"""Whole logits of longer targets would take more memory than the pass itself."""


def check_indices(pairs: Sequence[TokenPair], num: int) -> list[int]:
    """The longest pair with a moderate target, and its neighbours in the tree, which share most with it."""
    if not num or not pairs:
        return []
    order = sorted(range(len(pairs)), key=lambda i: sort_key(pairs[i].prompt_ids, pairs[i].target_ids))
    lengths = [
        len(pairs[i].prompt_ids) + len(pairs[i].target_ids) if len(pairs[i].target_ids) <= _LONGEST_TARGET else 0
        for i in order
    ]
    middle = int(np.argmax(lengths))
    start = max(0, min(middle - num // 2, len(order) - num))
    return order[start : start + num]


def largest_difference(scorer: Scorer, pairs: Sequence[TokenPair]) -> float:
    """Largest distance in nats between the pack of ``pairs`` and each of them alone by the plain path."""
    together, _ = scorer.score(pairs)
    alone = np.array([plain_score(scorer.model, pair)[0] for pair in pairs])
    return float(np.abs(together - alone).max(initial=0.0))
