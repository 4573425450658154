"""What is known of a low precision: measured once a plan, kept in the store, and no reason for a run to fail."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import tss_lab.models
from tss_lab.engine.plain import plain_score
from tss_lab.models import load_model
from tss_lab.scoring import module, run
from tss_lab.statistics import spearman


def mean_distance(first, second) -> np.ndarray:
    """Nats a token, a row each."""
    return np.abs((first["loglik"] - second["loglik"]).to_numpy()) / first["n_target_tokens"].to_numpy()


def test_bfloat16_is_computed_and_compared_with_float32(bench):
    """Its own artefact, its own rounding, the model's own numbers in that precision, and the true correlation."""
    b = bench("qwen3", dtype="bfloat16")
    plan = b.plan()
    low = b.run(plan)
    b.scoring = b.scoring.model_copy(update={"dtype": "float32"})
    exact = b.run(plan)
    assert exact.num_resumed == 0
    assert exact.float32_rank_correlation is None
    apart = mean_distance(low.frame, exact.frame)
    assert 1e-4 < np.median(apart) < apart.max() < 0.1
    model = load_model(b.local.folder, "bfloat16")
    plain = np.array([plain_score(model, pair)[0] for pair in plan.pairs])
    assert (np.abs(low.frame["loglik"].to_numpy() - plain) / low.frame["n_target_tokens"].to_numpy()).max() < 0.1
    both = low.frame.join(exact.frame.select("pair_id", "loglik").unique(), on="pair_id", suffix="_exact").unique(
        "pair_id"
    )
    assert low.float32_rank_correlation == pytest.approx(spearman(both["loglik"], both["loglik_exact"]), abs=1e-9)
    assert 0.99 < low.float32_rank_correlation < 1.0
    assert low.as_dict()["float32_rank_correlation_pairs"] == plan.num_distinct


def test_what_was_measured_is_reported_again_and_over_the_whole_plan(bench, monkeypatch):
    """A second run reads it; a pass that adds pairs measures over old and new ones; each plan finds its own."""
    b = bench("qwen3", dtype="bfloat16")
    first = b.run(b.plan(2))
    assert first.quality.float32_pairs == b.plan(2).num_distinct
    added = b.run(b.plan(6))
    assert added.num_resumed == first.num_computed
    assert added.quality.float32_pairs == b.plan(6).num_distinct
    assert added.quality != first.quality
    monkeypatch.setattr(run, "_computed", None)  # nothing is computed, so nothing is loaded
    assert b.run(b.plan(6), may_compute=False).quality == added.quality
    assert b.run(b.plan(2)).quality == first.quality
    assert b.run(b.plan(4)).quality == added.quality  # never measured by itself: the last one, with its number of pairs


@pytest.fixture
def no_room_for_float32(monkeypatch) -> list[str]:
    """Loading a float32 model finds no memory; lists the attempts."""
    attempts: list[str] = []

    def tight(folder, dtype="float32", **settings):
        if dtype == "float32":
            attempts.append(dtype)
            raise torch.OutOfMemoryError("out of memory")
        return load_model(folder, dtype, **settings)

    monkeypatch.setattr(tss_lab.models, "load_model", tight)
    return attempts


def test_a_model_that_fits_only_in_bfloat16_is_scored(bench, no_room_for_float32, caplog):
    b = bench(dtype="bfloat16")
    done = b.run(b.plan(2))
    assert len(done.frame) == len(b.plan(2).pairs)
    assert done.float32_rank_correlation is None
    assert done.quality.float32_problem == "there was no memory for the float32 model"
    assert "bfloat16 is not compared with float32" in caplog.text
    b.run(b.plan(2))
    assert len(no_room_for_float32) == 1  # not tried again for the same pairs


def test_a_kill_while_comparing_is_not_repeated(bench, monkeypatch):
    b = bench(dtype="bfloat16")
    with monkeypatch.context() as patch:

        def killed(*_):
            raise KeyboardInterrupt

        patch.setattr(run, "against_float32", killed)
        with pytest.raises(KeyboardInterrupt):
            b.run(b.plan(2))
        again = b.run(b.plan(2))
    assert again.num_computed == 0
    assert again.quality.float32_problem == "the comparison didn't end"
    assert b.run(b.plan(3)).float32_rank_correlation > 0.9


@pytest.fixture
def loaded(monkeypatch) -> Iterator[list[weakref.ref]]:
    """References to the models of passes that follow; nobody collects cycles meanwhile."""
    references: list[weakref.ref] = []

    def remembered(*arguments, **settings):
        model = load_model(*arguments, **settings)
        references.append(weakref.ref(model))
        return model

    monkeypatch.setattr(module, "load_model", remembered)
    gc.collect()
    gc.disable()
    yield references
    gc.enable()


def test_scored_weights_are_gone_when_the_pass_is_over(bench, loaded):
    b = bench()
    b.run(b.plan(2))
    assert [reference() for reference in loaded] == [None]


def test_scored_weights_are_gone_when_the_pass_fails(bench, loaded, monkeypatch):
    def broken(self, pairs):
        raise ValueError("broken")

    b = bench()
    monkeypatch.setattr("tss_lab.engine.score.Scorer.token_logprobs", broken)
    with pytest.raises(ValueError, match="broken"):
        b.run(b.plan(2))
    assert [reference() for reference in loaded] == [None]


def test_scored_weights_are_gone_before_the_float32_ones_come(bench, loaded, monkeypatch):
    still_there = []

    def watched(*arguments, **settings):
        still_there.extend(reference() for reference in loaded)
        return load_model(*arguments, **settings)

    monkeypatch.setattr(tss_lab.models, "load_model", watched)
    b = bench(dtype="bfloat16")
    b.run(b.plan(2))
    assert still_there == [None]
