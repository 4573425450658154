"""Many token sequences as one flat row in which a shared prefix stands once.

The sequences of a pack form a trie. Written in depth-first order, each token attends to its
ancestors, which all stand to its left; and token j is an ancestor of token i exactly when
``j <= i < subtree_end[j]``. A segment is a run of tokens each of which is the child of the one before.

Axes: T flat tokens of a pack, S segments, R target tokens, P pairs. Only numpy is used here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tss_lab.types import IntArray

Run = tuple[int, int]
"""Flat positions ``start <= position < end``."""


@dataclass(frozen=True, eq=False)
class TreeLayout:
    """Who attends to whom; passed to the registered attention as the keyword ``tree``.

    ``parent_S`` is the flat position of the token before a segment's first one, −1 at a root.
    ``prepared`` is where the attention keeps masks for the layers that follow.
    """

    position_ids_T: IntArray
    subtree_end_T: IntArray
    start_S: IntArray
    end_S: IntArray
    parent_S: IntArray
    prepared: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def num_tokens(self) -> int:
        return len(self.position_ids_T)

    def ancestor_runs(self, position: int) -> list[Run]:
        """The ancestors of a token, without itself, as ascending runs of flat positions."""
        runs: list[Run] = []
        while position >= 0:
            segment = int(np.searchsorted(self.end_S, position, side="right"))
            start = int(self.start_S[segment])
            if position > start:
                runs.append((start, position))
            position = int(self.parent_S[segment])
            if position >= 0:
                runs.append((position, position + 1))
        return _joined(runs[::-1])


@dataclass(frozen=True, eq=False)
class TreePack:
    """Token sequences of P pairs, their layout, and where each target token is predicted.

    ``row_R`` is the flat position whose hidden state predicts ``target_id_R``, a token of pair ``pair_R``.
    """

    token_ids_T: IntArray
    layout: TreeLayout
    row_R: IntArray
    target_id_R: IntArray
    pair_R: IntArray
    num_pairs: int

    @property
    def position_ids_T(self) -> IntArray:
        return self.layout.position_ids_T

    @property
    def num_tokens(self) -> int:
        return self.layout.num_tokens


def build_pack(pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> TreePack:
    """The smallest pack that predicts every target token of the (prompt, target) pairs.

    A pair's last target token predicts nothing and is left out. Raises ValueError on an empty prompt
    (its first target token would have no predictor) or an empty target.
    """
    sequences = [_sequence(index, prompt, target) for index, (prompt, target) in enumerate(pairs)]
    # Big-endian ids, so that bytes sort as ids do: whoever shares a prefix is a neighbour, and only the sequence
    # before has to be looked at.
    order = sorted(range(len(sequences)), key=lambda index: sequences[index].tobytes())
    tokens: list[IntArray] = []
    depths: list[IntArray] = []
    starts: list[int] = []
    parents: list[int] = []
    rows: list[IntArray] = [np.empty(0, np.int64)] * len(sequences)
    previous = np.empty(0, sequences[0].dtype if sequences else ">u4")
    path = np.empty(0, np.int64)
    closed: list[tuple[IntArray, int]] = []
    size = 0
    for index in order:
        ids = sequences[index]
        shared = _common_prefix(previous, ids)
        if shared < len(ids):
            if shared < len(path) or shared == 0:
                starts.append(size)
                parents.append(int(path[shared - 1]) if shared else -1)
            closed.append((path[shared:], size))  # what this sequence leaves gets no descendant any more
            fresh = np.arange(size, size + len(ids) - shared, dtype=np.int64)
            tokens.append(ids[shared:].astype(np.int64))
            depths.append(np.arange(shared, len(ids), dtype=np.int64))
            size += len(fresh)
            path = np.concatenate([path[:shared], fresh])
        previous = ids
        rows[index] = path[len(pairs[index][0]) - 1 : len(ids)]
    subtree_end_T = np.full(size, size, np.int64)
    for positions, end in closed:
        subtree_end_T[positions] = end
    layout = TreeLayout(
        position_ids_T=_concatenated(depths),
        subtree_end_T=subtree_end_T,
        start_S=np.asarray(starts, np.int64),
        end_S=np.asarray([*starts[1:], size] if starts else [], np.int64),
        parent_S=np.asarray(parents, np.int64),
    )
    return _with_targets(_concatenated(tokens), layout, rows, [target for _, target in pairs])


def flat_pack(pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> TreePack:
    """The same without sharing: each pair is a root of its own, in the given order (training)."""
    sequences = [_sequence(index, prompt, target).astype(np.int64) for index, (prompt, target) in enumerate(pairs)]
    end_S = np.cumsum([len(ids) for ids in sequences], dtype=np.int64)
    start_S = np.concatenate([np.zeros(min(1, len(pairs)), np.int64), end_S[:-1]])
    layout = TreeLayout(
        position_ids_T=_concatenated([np.arange(len(ids), dtype=np.int64) for ids in sequences]),
        subtree_end_T=_concatenated(
            [np.full(len(ids), end, np.int64) for ids, end in zip(sequences, end_S, strict=True)]
        ),
        start_S=start_S,
        end_S=end_S,
        parent_S=np.full(len(pairs), -1, np.int64),
    )
    rows = [
        np.arange(start + len(prompt) - 1, end, dtype=np.int64)
        for (prompt, _), start, end in zip(pairs, start_S, end_S, strict=True)
    ]
    return _with_targets(_concatenated(sequences), layout, rows, [target for _, target in pairs])


def sort_key(prompt_ids: Sequence[int], target_ids: Sequence[int]) -> bytes:
    """Orders pairs so that neighbours share the longest prefixes (lexicographic by token id)."""
    return np.asarray([*prompt_ids, *target_ids[:-1]], ">u4").tobytes()


def shared_prefix(first: bytes, second: bytes) -> int:
    """Tokens that two ``sort_key`` values have in common at their beginning."""
    return _common_prefix(np.frombuffer(first, ">u4"), np.frombuffer(second, ">u4"))


def _sequence(index: int, prompt: Sequence[int], target: Sequence[int]) -> Any:
    if not len(prompt) or not len(target):
        raise ValueError(f"pair {index} has an empty {'target' if len(prompt) else 'prompt'}")
    return np.concatenate([np.asarray(prompt), np.asarray(target)[:-1]]).astype(">u4")


def _common_prefix(first: Any, second: Any) -> int:
    length = min(len(first), len(second))
    differing = np.flatnonzero(first[:length] != second[:length])
    return int(differing[0]) if len(differing) else length


def _concatenated(parts: Sequence[IntArray]) -> IntArray:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _joined(runs: Sequence[Run]) -> list[Run]:
    joined: list[Run] = []
    for start, end in runs:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _with_targets(
    token_ids_T: IntArray, layout: TreeLayout, rows: Sequence[IntArray], targets: Sequence[Sequence[int]]
) -> TreePack:
    return TreePack(
        token_ids_T=token_ids_T,
        layout=layout,
        row_R=_concatenated(rows),
        target_id_R=_concatenated([np.asarray(target, np.int64) for target in targets]),
        pair_R=np.repeat(np.arange(len(rows), dtype=np.int64), [len(target) for target in targets]),
        num_pairs=len(rows),
    )
