"""Kept against dropped: by hand, against other people's numbers, and where there is little to compare."""

import numpy as np
import pytest
from pytest import approx

from tss_lab.audit import audit_selection
from tss_lab.audit.audit import overlap, shifts
from tss_lab.config import AuditConfig
from tss_lab.methods import Evidence
from tss_lab.statistics import holm, share_difference
from tss_lab.types import Example, Likelihoods, Selection

OUTPUTS = ("The river rises in the mountains and flows to the sea.", "Der Fluss entspringt in den Bergen im Norden.")


def selection(kept_N):
    kept_N = np.asarray(kept_N, dtype=bool)
    ids = np.array([f"e{n:03d}" for n in range(len(kept_N))], dtype=object)
    rank_N = np.argsort(np.argsort(~kept_N, kind="stable"), kind="stable")
    return Selection(ids, -rank_N.astype(float), rank_N, kept_N, kept_N.astype(float))


def evidence(num, *, category=lambda n: f"kind {n % 3}", output=lambda n: OUTPUTS[0] + "." * (n % 7), table=None):
    examples = [
        Example(f"e{n:03d}", f"Describe river {n}.", "", output(n), category(n), f"file {n % 2}") for n in range(num)
    ]
    return Evidence(examples, table)


def audited(one, kept_N, **settings):
    return audit_selection(one, selection(kept_N), AuditConfig(**settings), 0, in_tokens=False)


def of_property(audit, name):
    return [one for one in audit.shifts if one.property == name]


def test_a_shift_by_hand():
    """Of 4 kept rows 3 are a, of 6 dropped ones 1. 210 ways to draw 4 of 10: 24 + 1 + 15 are as uneven as this."""
    kept_N = np.array([True] * 4 + [False] * 6)
    found = {one.value: one for one in shifts({"category": list("aaab" + "abbbbb")}, kept_N)}
    one = found["a"]
    assert (one.kept, one.dropped) == (3, 1)
    assert (one.of_kept, one.of_dropped, one.difference, one.keeps) == approx((0.75, 1 / 6, 0.75 - 1 / 6, 0.75))
    assert one.p == approx(40 / 210)
    assert one.p_holm == approx(80 / 210)  # two tests
    assert found["b"].difference == approx(-one.difference)


def test_newcombes_interval_is_the_published_one():
    """56 of 70 against 48 of 80, the first example of Newcombe (1998), method 10: 0.0524 to 0.3339."""
    assert share_difference((56, 70), (48, 80)) == approx((0.2, 0.0524, 0.3339), abs=5e-5)
    _, low, high = share_difference((0, 10), (0, 20))
    assert low < 0 < high


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).max() <= 1.0
    assert len(holm([])) == 0


def test_a_planted_tilt_is_found_and_nothing_else_is_clear():
    """Rows of one category are kept three times as often; every other property is blind to the choice."""
    rng = np.random.default_rng(0)
    kept_N = rng.random(1200) < np.where(np.arange(1200) % 3 == 1, 0.45, 0.15)
    found = audited(evidence(1200), kept_N)
    assert {(one.property, one.value) for one in found.clear} == {("category", f"kind {k}") for k in range(3)}
    largest = found.shifts[0]
    assert (largest.property, largest.value) == ("category", "kind 1")
    assert largest.difference_bounds[0] < largest.difference < largest.difference_bounds[1]
    assert found.left_out == {
        "language": "it is the same in all rows: en",
        "instruction verb": "it is the same in all rows: describe",
        "output": "no row has one",
        "words": "no row has one",
        "instruction cluster": "no embeddings are at hand; audit.clusters=always makes them",
    }
    assert found.languages == {"en": 1.0}
    assert found.figures()["largest_shift"] == approx(largest.difference)


def test_blind_draws_have_hardly_a_clear_shift():
    """Holm over all values: of twenty seeded draws at most one has any."""
    one = evidence(400, category=lambda n: f"kind {n % 11}")
    rng, clear = np.random.default_rng(1), 0
    for _ in range(20):
        kept_N = np.isin(np.arange(400), rng.choice(400, 60, replace=False))
        clear += bool(audited(one, kept_N).clear)
    assert clear <= 1


def test_languages_are_told_of_the_output_or_of_the_whole_row():
    found = audited(evidence(40, output=lambda n: OUTPUTS[n % 2] if n % 4 < 2 else "Yes"), np.arange(40) % 4 == 1)
    assert found.languages == {"de": 1.0}
    (german,) = [one for one in of_property(found, "language") if one.value == "de"]
    assert (german.kept, german.dropped) == (10, 0)
    assert german in found.clear


def test_clusters_are_called_by_an_instruction_of_theirs():
    """Two bundles of embeddings, one of them kept."""
    bundle_N = np.arange(60) % 2
    vectors = np.eye(4)[bundle_N] + np.random.default_rng(0).normal(size=(60, 4)) * 0.01
    known = Evidence(evidence(60).examples, known_embeddings=lambda: vectors)
    found = of_property(audited(known, bundle_N == 1, num_clusters=2), "instruction cluster")
    assert sorted((shift.kept, shift.dropped) for shift in found) == [(0, 30), (30, 0)]
    assert all("“Describe river " in shift.value for shift in found)
    assert not of_property(audited(known, bundle_N == 1, clusters="never"), "instruction cluster")
    made = Evidence(known.examples, embed_instructions=lambda: vectors)
    assert of_property(audited(made, bundle_N == 1, clusters="always"), "instruction cluster")


def test_overlap_with_simple_rules():
    """The kept rows are the longest ones; of the five likeliest they hold one."""
    kept_N = np.arange(20) >= 15
    loglik_N = -np.arange(20.0)
    loglik_N[19] = 0.0
    table = Likelihoods(
        selection(kept_N).example_id_N, loglik_N, np.zeros((20, 0)), np.zeros(20, dtype=int), np.full(20, np.nan),
        np.ones(20, dtype=int),
    )  # fmt: skip
    found = audited(evidence(20, output=lambda n: "x" * (n + 1), table=table), kept_N)
    longest, likeliest = found.overlaps
    assert (longest.shared, likeliest.shared) == (5, 1)
    assert longest.expected == approx(5 * 5 / 20)
    assert longest.chance == (0, 3)  # 2.5 and 97.5 % points of the hypergeometric
    assert found.longer == 1.0


def test_ties_of_a_rule_are_drawn_not_taken_in_file_order():
    kept_N = np.arange(200) < 100
    assert 20 < overlap("the longest outputs", np.ones(200), selection(kept_N), seed=0).shared < 80


def test_nothing_is_compared_where_nothing_is_dropped():
    found = audited(evidence(12), np.ones(12))
    assert found.shifts == found.overlaps == ()
    assert found.left_out == {"all properties": "every row is kept, so there is nothing to compare with"}
    assert found.figures() == {"shifts": 0, "clear_shifts": 0}


@pytest.mark.parametrize("num", [2, 5])
def test_a_few_rows_give_wide_intervals_and_no_error(num):
    found = audited(evidence(num, category=lambda n: None), np.arange(num) < 1)
    assert not found.clear
    assert all(one.difference_bounds[1] - one.difference_bounds[0] > 0.4 for one in found.shifts)
    assert found.left_out["category"] == "no row has one"
    assert found.longer_bounds is None  # one kept row has no spread


def test_rare_values_are_put_together():
    found = audited(evidence(60, category=lambda n: "main" if n < 50 else f"rare {n}"), np.arange(60) % 3 == 0)
    assert {one.value for one in of_property(found, "category")} == {"main", "(other)"}


def test_a_large_set_is_compared_on_a_sample_but_overlaps_are_exact():
    kept_N = np.arange(500) % 5 == 0
    found = audited(evidence(500), kept_N, max_rows=100)
    assert (found.rows, found.kept, found.compared) == (500, 100, 100)
    assert 8 < found.compared_kept < 32
    assert sum(one.kept + one.dropped for one in of_property(found, "category")) == 100
    assert found.overlaps[0].expected == approx(20)
