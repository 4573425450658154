"""From scores to findings and advice: made-up scores whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from tss_lab.probe.assess import LENGTH, Rows, Scored, advise, notice_weak, notice_wrong
from tss_lab.probe.corrupt import Kind, ProbeRow
from tss_lab.runs.probe import Setting
from tss_lab.types import Example

RNG = np.random.default_rng(0)


def _rows(num=80, kinds=(Kind.RANDOM, Kind.PARAPHRASE)):
    """The first half keeps its instruction; the rows of the others come once a kind."""
    examples = [Example(f"e{i}", "I", f"x{i}", "y", "ab"[i % 2]) for i in range(num)]
    rows = [ProbeRow(one, Kind.OWN, one.example_id, i % 2 == 0) for i, one in enumerate(examples[: num // 2])]
    for kind in kinds:
        rows += [ProbeRow(one, kind, one.example_id, i % 2 == 0) for i, one in enumerate(examples[num // 2 :])]
    return rows


def _scored(rows, name, shift, pairs, source="retrieved", noise=None):
    noise = RNG.normal(size=len(rows)) if noise is None else noise
    is_good = np.array([not row.kind.is_wrong for row in rows])
    return Scored(Setting(name, source, pairs), noise + shift * is_good)


TOKENS = np.arange(120) % 7 + 1


def _findings(rows, scored):
    return {(one.setting.method, one.kind): one for one in notice_wrong(rows, scored, TOKENS, [0.5], seed=0)}


def test_each_kind_is_compared_with_the_rows_that_keep_their_instruction():
    rows = _rows()
    found = _findings(rows, [_scored(rows, "good", 50.0, 5), _scored(rows, "none", 0.0, 1, "")])
    good = found["good", "random"]
    assert (good.whole.value, good.whole.num_above, good.whole.num_below) == (1.0, 40, 40)
    assert (good.first.num_above, good.second.num_above, good.precision) == (20, 20, {"0.5": 1.0})
    assert good.length_matched.value == 1.0
    assert {"a", "b"} < set(good.groups)
    assert not found["good", "paraphrase"].whole.is_told_apart  # a rewording counts as good, so stands level
    assert not found["none", "random"].whole.is_told_apart
    assert found[LENGTH, "random"].setting.pairs == 0


def test_rows_that_one_setting_cant_score_are_left_out_for_all():
    rows = _rows()
    broken = _scored(rows, "broken", 1.0, 5)
    broken.preference_N[:10] = np.nan
    found = _findings(rows, [_scored(rows, "good", 50.0, 5), broken])
    assert found["good", "random"].whole.num_above == 30


def test_the_cheapest_of_those_that_are_level_is_advised():
    rows = _rows()
    noise = np.random.default_rng(1).normal(size=len(rows))
    scored = [
        _scored(rows, "dear", 3.0, 9, noise=noise), _scored(rows, "cheap", 2.99, 2, noise=noise),
        _scored(rows, "chance", 0.0, 1),
    ]  # fmt: skip
    said, taken = advise(list(_findings(rows, scored).values()), rows, scored, seed=0)
    assert taken.method == "cheap"
    assert "of 100 pairs [" in said[0]
    assert said[0].endswith("take method=cheap alternatives=retrieved.")
    assert "chance, retrieved" in said[1]


def test_what_is_not_told_from_chance_is_never_advised_however_cheap():
    """Of few rows nothing is worse than the best beyond noise; that doesn't make a guess a recommendation."""
    rows = _rows(24)
    first, second = (np.random.default_rng(seed).normal(size=len(rows)) for seed in (6, 106))
    scored = [_scored(rows, "good", 1.2, 5, noise=first), _scored(rows, "guess", 0.5, 1, "", noise=second)]
    said, taken = advise([], rows, scored, seed=0)
    assert taken.method == "good"
    assert "guess" in said[1]


def test_chance_is_called_chance_and_too_few_rows_too_few():
    rows = _rows()
    noise = np.random.default_rng(5).normal(size=len(rows))
    scored = [_scored(rows, "chance", 0.0, 1, noise=noise)]
    said, taken = advise([], rows, scored, seed=0)
    assert said[0].startswith("No score tells a wrong instruction from a right one beyond chance")
    assert taken is None
    few = _rows(8)
    said, taken = advise([], few, [_scored(few, "good", 50.0, 5)], seed=0)
    assert "Too few rows for an interval: a probe needs at least 20" in said[0]
    assert taken is None


def test_weak_instructions_are_compared_input_by_input():
    """Two rows an input; the score has the specific one higher in three inputs of four."""
    inputs = np.array([f"x{i // 2}" for i in range(80)], dtype=object)
    is_good = np.arange(80) % 2 == 0
    score = np.where(is_good, 1.0, 0.0) + 10.0 * (np.arange(80) // 2)
    score[::8] -= 2.0  # each fourth input the other way round
    facts = Rows(is_good, np.arange(80) >= 40, np.ones(80, dtype=np.int64), np.full(80, "", dtype=object), inputs)
    found = notice_weak(facts, [Scored(Setting("tss", "generated", 5), score)], [0.5], seed=0)
    assert (found[0].pairs_won, found[0].num_pairs) == (30.0, 40)
    assert found[0].whole.value == pytest.approx(0.5, abs=0.02)  # across inputs the score says nothing
    assert found[1].whole.value == 0.5  # length: all alike
