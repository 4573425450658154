"""The model's numbers: made-up ones by hand, real ones of tiny models, and lm-eval's."""

import numpy as np
import pytest
from pytest import approx

from tests.made_up import run_config
from tss_lab.doctor.gather import pairs_an_example, spaced
from tss_lab.doctor.machine import Machine, Use, disk, memory
from tss_lab.doctor.passes import Passes, evaluation_harness, finite, one_and_many, precision, throughput
from tss_lab.methods import Needs
from tss_lab.types import PromptKind


def passes(**changed):
    usual = {
        "dtype": "float32", "engine": "tree", "packed_P": np.array([-8.0, -4.0, -6.0, -7.0]),
        "num_target_tokens_Q": np.array([4, 2, 3]), "alone_Q": np.array([-8.0, -4.0, -6.0]),
        "exact_Q": np.array([-8.0, -4.0, -6.0]), "harness_Q": np.array([-8.0, -4.0, -6.0]), "seconds": 2.0,
        "num_examples": 100, "pairs_an_example": 5, "length_ratio": 1.5, "alone_tolerance": 0.25,
    }  # fmt: skip
    return Passes(**{**usual, **changed})


def test_a_number_that_is_none():
    assert finite(passes()).status == "ok"
    packed_P = np.array([-8.0, np.nan, -np.inf, -7.0])
    found = finite(passes(packed_P=packed_P, dtype="float16"))
    assert (found.status, found.figures["not_finite"]) == ("failure", 2)
    assert "scoring.dtype=float32" in found.remedy
    assert "layer.weight" in finite(passes(packed_P=packed_P, damaged_weight="layer.weight")).text
    assert one_and_many(passes(packed_P=packed_P)).status == "failure"  # not a number is no agreement


def test_alone_and_with_others():
    """5e-4 nats a pair in float32; below, a quarter of a nat a token (0.5 over two tokens)."""
    assert one_and_many(passes(alone_Q=np.array([-8.0004, -4.0, -6.0]))).status == "ok"
    assert one_and_many(passes(alone_Q=np.array([-8.0006, -4.0, -6.0]))).status == "failure"
    low = {"dtype": "bfloat16", "alone_Q": np.array([-8.9, -4.5, -6.0])}
    assert one_and_many(passes(**low)).status == "ok"
    assert one_and_many(passes(**{**low, "alone_Q": np.array([-8.0, -4.6, -6.0])})).status == "failure"
    assert one_and_many(passes(engine="plain")).status == "warning"
    assert one_and_many(passes(alone_Q=None, problems={"one_and_many": "no memory"})).text == "no memory"


def test_lm_eval_within_five_thousandths():
    assert evaluation_harness(passes(harness_Q=np.array([-8.004, -4.0, -6.0]))).status == "ok"
    found = evaluation_harness(passes(harness_Q=np.array([-8.006, -4.0, -6.0])))
    assert (found.status, found.figures["largest_nats"]) == ("failure", approx(0.006))
    skipped = evaluation_harness(passes(harness_Q=None, problems={"evaluation_harness": "no memory"}))
    assert skipped.status == "skipped"


def test_a_low_precision_is_judged_by_the_order():
    """Means a token are −2, −2.1, −1.9 in float32; the low precision swaps the first two: ranks 2 1 3 and 1 2 3."""
    exact_Q = np.array([-8.0, -4.2, -5.7])
    assert precision(passes()).status == "ok"
    same = precision(passes(dtype="bfloat16", exact_Q=exact_Q, packed_P=exact_Q - 0.1))
    assert (same.status, same.figures["largest_nats"]) == ("ok", approx(0.1))
    swapped = precision(passes(dtype="bfloat16", exact_Q=exact_Q, packed_P=np.array([-8.6, -4.2, -5.7])))
    assert (swapped.status, swapped.figures["rank_correlation"]) == ("failure", approx(0.5))


def test_time_is_the_samples_pace():
    """Four pairs in two seconds; 500 pairs, half as long again: 375 seconds."""
    found = throughput(passes())
    assert (found.status, found.figures["estimated_seconds"]) == ("ok", approx(375.0))
    assert "about 6 minutes" in found.text
    assert throughput(passes(num_examples=100_000)).status == "warning"
    assert throughput(passes(pairs_an_example=0)).status == "skipped"


def test_memory_and_disk():
    def machine(needed):
        uses = Use("scoring", needed, 10 << 30, "in memory"), Use("training so far", needed, 10 << 30, "there")
        return Machine(uses[:1], uses[1:])

    assert [memory(machine(size << 30)).status for size in (7, 9, 11)] == ["ok", "warning", "failure"]
    assert [disk(machine(size << 30)).status for size in (7, 9, 11)] == ["ok", "warning", "failure"]
    assert memory(machine(1 << 30)).text == "scoring takes 1.1 GB of 10.7 GB free in memory"
    assert disk(machine(1)).figures == {"training_needed_bytes": 1, "training_free_bytes": 10 << 30}
    full = Machine([], [], ran_out="a pair of 9 tokens doesn't fit")
    assert (memory(full).status, memory(full).text) == ("failure", "a pair of 9 tokens doesn't fit")


@pytest.mark.parametrize(("kind", "k", "pairs"), [("generated", 4, 6), ("mixed", 3, 8)])
def test_pairs_of_an_example(tmp_path, kind, k, pairs):
    config = run_config(tmp_path / "runs", "a", f"alternatives={kind}", f"alternatives.k={k}", "method=tss")
    assert pairs_an_example(config, Needs(frozenset(PromptKind))) == pairs
    assert pairs_an_example(config, Needs()) == 0


def test_a_sample_is_spaced_evenly():
    assert spaced(range(10), 4) == [0, 2, 5, 7]
    assert spaced(range(3), 9) == [0, 1, 2]
