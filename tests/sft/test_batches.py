"""Which rows meet where: properties of the plan, and weights and rows that can't be trained with."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training import make_examples, make_sft, make_weights

from tss_lab.errors import TrainingError
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.sft.batches import BatchOrder, flat_packs, num_steps, packs_of_rank, padded_packs
from tss_lab.sft.optimiser import learning_rate
from tss_lab.sft.plan import plan_training
from tss_lab.sft.rows import TrainingRow, encode_rows
from tss_lab.types import Example

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=24)


@given(LENGTHS, st.integers(1, 500), st.integers(1, 4), st.sampled_from(["tree", "padded"]))
def test_each_row_is_in_one_pack_of_one_device(lengths: list[int], room: int, world_size: int, packing: str) -> None:
    config = make_sft(packing=packing, tokens_per_pack=room)
    shares = [packs_of_rank(lengths, config, rank, world_size) for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    assert Counter(row for share in shares for pack in share for row in pack) == Counter(range(len(lengths)))
    for share in shares:  # the largest first, for the memory's sake
        sizes = [sum(lengths[row] for row in pack) for pack in share]
        assert sizes == sorted(sizes, reverse=True)


@given(LENGTHS, st.integers(1, 500), st.integers(1, 4))
def test_packs_keep_within_their_room(lengths: list[int], room: int, world_size: int) -> None:
    for pack in flat_packs(lengths, room, world_size):
        assert sum(lengths[row] for row in pack) <= max(room, *lengths)
    for pack in padded_packs(lengths, room, world_size):
        assert len(pack) <= 1 or max(lengths[row] for row in pack) * len(pack) <= room


@given(st.integers(1, 50), st.integers(1, 9), st.integers(0, 5))
def test_an_epoch_sees_each_row_once(num_rows: int, batch_size: int, seed: int) -> None:
    order = BatchOrder(num_rows, batch_size, seed)
    for epoch in range(2):
        steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
        assert sorted(row for step in steps for row in order.rows_of_step(step)) == list(range(num_rows))


def test_length_of_a_training() -> None:
    rows = [TrainingRow(str(i), [1], [1] * 10, 1.0) for i in range(10)]
    order = BatchOrder(10, 4, 0)  # 3 steps an epoch: 40, 40 and 20 target tokens
    assert num_steps(order, rows, make_sft(max_steps=None, epochs=2), 1.0) == 6
    assert num_steps(order, rows, make_sft(max_steps=None, epochs=2), 0.5) == 3
    assert num_steps(order, rows, make_sft(max_steps=7), 1.0) == 7
    assert num_steps(order, rows, make_sft(max_steps=None, max_target_tokens=139), 1.0) == 3
    assert num_steps(order, rows, make_sft(max_steps=None, max_target_tokens=140), 1.0) == 4
    assert num_steps(order, rows, make_sft(max_steps=None, max_target_tokens=1), 1.0) == 1


@pytest.mark.parametrize(
    ("length", "whole", "at_30_percent"),
    [
        ({"epochs": 2}, 10, 3),
        ({"epochs": 0.5}, 2, 1),  # 2.5 steps, and 0.75
        ({"max_steps": 100}, 100, 100),
        ({"max_target_tokens": 139}, 3, 3),
    ],
)
def test_only_a_length_in_epochs_is_cut_for_scope_full(
    tiny_llama: Any, length: dict[str, float], whole: int, at_30_percent: int
) -> None:
    """A length in steps or tokens is every method's: a method that trains on all examples gets no less of it."""
    encoder = PromptEncoder(tiny_llama[1], get_template("alpaca"), 1024)
    examples = [Example(f"row-{i}", "List red", "", "0" * 9) for i in range(20)]  # 10 target tokens each
    sft = make_sft(**{"max_steps": None, "batch_size": 4} | length)
    steps = [plan_training(examples, np.ones(20), encoder, sft, 0, steps_fraction=part).steps for part in (1.0, 0.3)]
    assert steps == [whole, at_30_percent]


def test_plan_counts_what_the_training_sees(tiny_llama: Any) -> None:
    encoder = PromptEncoder(tiny_llama[1], get_template("alpaca"), 1024)
    plan = plan_training(
        make_examples(10), np.array([4.0] + [1.0] * 9), encoder, make_sft(batch_size=4, max_steps=4), 0
    )
    seen = [plan.rows[row] for step in range(4) for row in plan.order.rows_of_step(step)]
    assert plan.target_tokens == sum(row.num_targets for row in seen)
    assert plan.tokens == sum(row.num_tokens for row in seen)
    assert plan.effective_size == pytest.approx(13**2 / 25)
    assert sum(row.weight for row in plan.rows) == pytest.approx(10)


def test_learning_rate_by_hand() -> None:
    config = make_sft(learning_rate=1.0, warmup_ratio=0.2, schedule="linear")
    assert [round(learning_rate(step, 10, config), 4) for step in range(10)] == [
        0.3333, 0.6667, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125,
    ]  # fmt: skip
    assert learning_rate(6, 10, make_sft(learning_rate=1.0, warmup_ratio=0.2)) == pytest.approx(0.5)


def test_end_token_ends_whole_outputs_only(tiny_llama: Any) -> None:
    tokenizer = tiny_llama[1]
    encoder = PromptEncoder(tokenizer, get_template("alpaca"), None)
    example = Example("long", "List red and green", "", "blue " * 30)
    whole = encode_rows([example], np.ones(1), encoder, 1024)[0][0]
    assert whole.target_ids[-1] == tokenizer.eos_token_id
    assert len(whole.prompt_ids) + len(whole.target_ids) <= 1024
    limit = len(whole.prompt_ids) + 10
    cut = encode_rows([example], np.ones(1), encoder, limit)[0][0]
    assert cut.truncated
    assert tokenizer.eos_token_id not in cut.target_ids
    assert len(cut.prompt_ids) + len(cut.target_ids) <= limit


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ([1.0, np.nan, 1.0], "example-0-1"),
        ([1.0, 1.0, np.inf], "example-0-2"),
        ([-1.0, 1.0, 1.0], "negative"),
        ([0.0, 0.0, 0.0], "all weights are zero"),
        ([1.0, 1.0], "one weight an example"),
    ],
)
def test_unusable_weights(tiny_llama: Any, weights: list[float], says: str) -> None:
    encoder = PromptEncoder(tiny_llama[1], get_template("alpaca"), 1024)
    with pytest.raises(TrainingError, match=says):
        encode_rows(make_examples(3), np.array(weights), encoder, 1024)


def test_example_without_target_tokens_is_set_aside(tiny_llama: Any) -> None:
    encoder = PromptEncoder(tiny_llama[1], get_template("alpaca"), 1024)
    empty = Example("empty", "List red", "", "")
    rows, aside = encode_rows([*make_examples(2), empty], np.array([1.0, 3.0, 9.0]), encoder, 1024)
    assert [row.example_id for row in aside] == ["empty"]
    assert [row.weight for row in rows] == pytest.approx([0.5, 1.5])
    with pytest.raises(TrainingError, match="none of 1 examples has target tokens"):
        encode_rows([empty], np.ones(1), encoder, 1024)


def test_many_clipped_weights_are_warned_about(tiny_llama: Any, caplog: pytest.LogCaptureFixture) -> None:
    encoder = PromptEncoder(tiny_llama[1], get_template("alpaca"), 1024)
    with caplog.at_level(logging.WARNING):
        plan_training(make_examples(4), make_weights(4), encoder, make_sft(), 0, clipped_share=0.5)
        assert not caplog.records
        plan_training(make_examples(4), make_weights(4), encoder, make_sft(), 0, clipped_share=0.6)
    assert "lambda_" in caplog.text
    assert "standardize" in caplog.text
