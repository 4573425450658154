"""Rows with replaced instructions: which, how many, and that nothing is given away."""

from __future__ import annotations

import pytest

from tss_lab.errors import DataError
from tss_lab.probe.corrupt import Kind, corrupted, split
from tss_lab.types import Example


def _examples(num=40, distinct=8):
    return [Example(f"{i:04d}", f"Task {i % distinct}.", f"input {i}", f"output {i}", "ab"[i % 2]) for i in range(num)]


def _nearest(instructions, candidates):
    return {text: [one for one in candidates if one != text] for text in instructions}


def _corrupted(examples, kinds, seed=0, alternatives=None):
    return corrupted(examples, examples, kinds, seed, _nearest, alternatives or {})


def test_half_of_each_category_is_replaced_and_halved_again():
    own, replaced, second = split(_examples(), seed=3)
    assert [sum(one.category == "a" for one in part) for part in (own, replaced)] == [10, 10]
    assert len(second & {one.example_id for one in own}) == len(second & {one.example_id for one in replaced}) == 10
    assert split(_examples()[::-1], seed=3) == (own, replaced, second)  # whatever the order in the file
    assert split(_examples(), seed=4)[1] != replaced


def test_only_the_instruction_changes_and_every_row_has_a_name_of_its_own():
    examples = _examples()
    rows = _corrupted(examples, [Kind.RANDOM, Kind.NEAR, Kind.VAGUE, Kind.PARAPHRASE])
    by_id = {one.example_id: one for one in examples}
    for row in rows:
        original = by_id[row.original_id]
        assert (row.example.input, row.example.output) == (original.input, original.output)
        assert (row.example.instruction == original.instruction) == (row.kind is Kind.OWN)
        assert (row.example.example_id == row.original_id) == (row.kind is Kind.OWN)
    assert [sum(row.kind is kind for row in rows) for kind in Kind] == [20, 20, 20, 0, 20, 20]
    assert all(original.instruction in row.example.instruction for row in rows if row.kind is Kind.PARAPHRASE
               for original in [by_id[row.original_id]])  # fmt: skip


def test_a_row_without_alternatives_is_left_out_of_that_kind():
    examples = _examples()
    _, replaced, _ = split(examples, 0)
    rows = _corrupted(examples, [Kind.ALTERNATIVE], alternatives={replaced[0].example_id: ["Another.", "A third."]})
    made = [row for row in rows if row.kind is Kind.ALTERNATIVE]
    assert [row.original_id for row in made] == [replaced[0].example_id]
    assert made[0].example.instruction in ("Another.", "A third.")


@pytest.mark.parametrize("kind", [Kind.RANDOM, Kind.NEAR])
def test_one_instruction_everywhere_is_refused_with_what_to_take(kind):
    with pytest.raises(DataError, match=r"all of the data set's are alike; take probe.kinds=\[alternative,vague"):
        _corrupted(_examples(distinct=1), [kind])
