"""The trie against what it stands for: every token sees exactly its own sequence's past."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tss_lab.engine.tree import TreePack, build_pack, flat_pack, shared_prefix, sort_key

ids = st.lists(st.integers(0, 2), min_size=1, max_size=6)
pairs_of_ids = st.lists(st.tuples(ids, ids), min_size=0, max_size=8)


def past_of(pack: TreePack, position: int) -> list[int]:
    """The tokens that a flat position sees, by the one-line rule."""
    seen = [j for j in range(position + 1) if position < pack.layout.subtree_end_T[j]]
    return [int(pack.token_ids_T[j]) for j in seen]


def check(pack: TreePack, pairs: list[tuple[list[int], list[int]]]) -> None:
    for pair, (prompt, target) in enumerate(pairs):
        rows = pack.row_R[pack.pair_R == pair]
        assert pack.target_id_R[pack.pair_R == pair].tolist() == target
        for index, row in enumerate(rows.tolist()):
            assert past_of(pack, row) == prompt + target[:index]
            assert pack.position_ids_T[row] == len(prompt) + index - 1
            before = [k for start, end in pack.layout.ancestor_runs(row) for k in range(start, end)]
            assert before == [j for j in range(row) if row < pack.layout.subtree_end_T[j]]


@settings(deadline=None)
@given(pairs_of_ids)
def test_every_target_sees_its_own_prompt_and_past(pairs):
    check(build_pack(pairs), pairs)
    check(flat_pack(pairs), pairs)


@settings(deadline=None)
@given(pairs_of_ids)
def test_each_distinct_prefix_is_computed_once(pairs):
    """The flat row has as many tokens as there are distinct non-empty prefixes: exact scoring needs no fewer."""
    sequences = [tuple(prompt + target[:-1]) for prompt, target in pairs]
    prefixes = {sequence[:end] for sequence in sequences for end in range(1, len(sequence) + 1)}
    assert build_pack(pairs).num_tokens == len(prefixes)
    assert flat_pack(pairs).num_tokens == sum(map(len, sequences))


@settings(deadline=None)
@given(pairs_of_ids)
def test_segments_cover_the_row_and_hang_on_their_parents(pairs):
    layout = build_pack(pairs).layout
    covered = [k for start, end in zip(layout.start_S, layout.end_S, strict=True) for k in range(start, end)]
    assert covered == list(range(layout.num_tokens))
    for start, parent in zip(layout.start_S.tolist(), layout.parent_S.tolist(), strict=True):
        depth = layout.position_ids_T[start]
        assert (parent == -1) == (depth == 0)
        assert parent == -1 or layout.position_ids_T[parent] == depth - 1


def test_shared_question_with_four_choices():
    """By hand: question 7 8, choices of which two begin alike; eight tokens in place of fifteen."""
    pack = build_pack([([7, 8], [1, 2, 9]), ([7, 8], [1, 3, 9]), ([7, 8], [4, 9]), ([7, 8], [5])])
    assert pack.token_ids_T.tolist() == [7, 8, 1, 2, 3, 4]
    assert pack.position_ids_T.tolist() == [0, 1, 2, 3, 3, 2]
    assert pack.layout.subtree_end_T.tolist() == [6, 6, 5, 4, 5, 6]
    assert pack.row_R.tolist() == [1, 2, 3, 1, 2, 4, 1, 5, 1]


@pytest.mark.parametrize("pair", [([], [1]), ([1], [])])
def test_empty_prompt_or_target_is_refused(pair):
    with pytest.raises(ValueError, match="empty"):
        build_pack([pair])


def test_neighbours_by_key_share_prefixes():
    keys = [sort_key([1, 2], [3, 9]), sort_key([1, 2, 3], [4, 9])]
    assert shared_prefix(*keys) == 3
    assert np.frombuffer(keys[0], ">u4").tolist() == [1, 2, 3]
