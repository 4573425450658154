"""What the self-check takes for a difference, and that whoever asks the engine for likelihoods passes it."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from pytest import approx
from test_exact import random_pairs

from tss_lab.config import ScoringConfig
from tss_lab.engine import score as score_module
from tss_lab.engine.plain import plain_score
from tss_lab.engine.score import score_pairs
from tss_lab.engine.self_check import SelfCheck, self_check
from tss_lab.errors import ModelError
from tss_lab.types import PromptKind, TokenPair


def pairs_of(lengths: list[tuple[int, int]]) -> list[TokenPair]:
    """Pairs of so many prompt and target tokens."""
    return [
        TokenPair(str(i), str(i), PromptKind.TRUE, -1, [7] * prompt, [i] * target)
        for i, (prompt, target) in enumerate(lengths)
    ]


def judged(apart: list[np.ndarray], dtype: str) -> SelfCheck:
    """The check of pairs whose tokens lie so far apart."""
    pairs = pairs_of([(3, len(apart_R)) for apart_R in apart])
    return self_check(
        pairs, len(pairs), dtype, lambda _: [-1.0 + a for a in apart], lambda _: [-np.ones(len(a)) for a in apart]
    )


def test_bfloat16_rounding_of_long_targets_passes_and_what_cancels_out_does_not():
    """256 tokens that are off by 2 nats together are rounding; a sum that is right by chance is not."""
    rounding = judged([np.full(256, 1.96 / 256)], "bfloat16")
    assert rounding.passed
    assert rounding.difference == approx(1.96)
    cancelling = judged([np.tile([0.3, -0.3], 128)], "bfloat16")
    assert cancelling.difference == approx(0.0)
    assert cancelling.per_token == approx(0.3)
    assert not cancelling.passed


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("length", [10, 100, 1000])
def test_the_verdict_does_not_depend_on_the_length(dtype, length):
    tolerance = judged([np.zeros(1)], dtype).tolerance
    assert judged([np.full(length, 0.9 * tolerance)], dtype).passed
    assert not judged([np.full(length, 1.1 * tolerance)], dtype).passed
    assert not judged([np.zeros(5), np.full(length, 1.1 * tolerance)], dtype).passed


def test_a_short_target_may_differ_by_as_much_as_eight_tokens():
    assert judged([np.array([7.9e-4])], "float32").passed
    assert not judged([np.array([8.1e-4])], "float32").passed


def test_weights_that_spoil_both_ways_are_not_the_trees_fault():
    pairs = pairs_of([(3, 2)])
    spoiled, sound = [np.array([np.nan, -1.0])], [np.array([-2.0, -1.0])]
    assert self_check(pairs, 1, "float32", lambda _: spoiled, lambda _: spoiled).passed
    assert not self_check(pairs, 1, "float32", lambda _: spoiled, lambda _: sound).passed


def test_the_longest_pair_and_its_neighbours_are_checked_and_long_targets_cut():
    pairs = pairs_of([(3, 5), (3, 300), (3, 7), (3, 9)])
    seen = []
    found = self_check(pairs, 2, "float32", lambda chosen: seen.extend(chosen) or [], lambda _: [])
    assert found.num_pairs == 2
    assert [(pair.example_id, len(pair.target_ids)) for pair in seen] == [("0", 5), ("1", 256)]


def scored(model, seed: int = 0, **settings):
    pairs = [TokenPair(str(i), str(i), PromptKind.TRUE, -1, *pair) for i, pair in enumerate(random_pairs(6, seed))]
    expected = [plain_score(model, pair)[0] for pair in pairs]
    found, _ = score_pairs(model, pairs, ScoringConfig(**settings))
    return np.abs(found - expected).max()


def test_benchmarks_are_not_scored_by_a_wrong_tree(tiny_model, wrong_tree_attention, caplog):
    """They come through score_pairs, which falls back; and where it may not, says so."""
    model, _ = tiny_model
    assert scored(model, self_check_pairs=0) > 0.02
    with caplog.at_level(logging.WARNING):
        assert scored(model) < 5e-4
    assert "nats a token on 3 pairs (at most 0.0001 allowed)" in caplog.text
    with pytest.raises(ModelError, match=r"scoring\.engine=tree: packed and plain .* take scoring\.engine=plain"):
        scored(model, engine="tree")


def test_without_memory_for_the_plain_path_the_check_is_left_out(tiny_llama, monkeypatch, caplog):
    def refuse(model, pair):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(score_module, "plain_logprobs", refuse)
    assert scored(tiny_llama[0]) < 5e-4
    assert "no self-check" in caplog.text


def test_no_bar_where_there_is_no_terminal(tiny_llama, capsys):
    score_pairs(tiny_llama[0], pairs_of([(3, 2), (4, 5)]), ScoringConfig(), progress="evaluating")
    assert "".join(capsys.readouterr()) == ""
