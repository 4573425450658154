"""Which pairs are asked for, and which examples are set aside."""

from __future__ import annotations

import pytest

from tests.scoring.conftest import corpus
from tss_lab.errors import ConfigError
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.scoring import plan_pairs
from tss_lab.types import Example, PromptKind

TRUE, ALTERNATIVE, UNCONDITIONAL = PromptKind.TRUE, PromptKind.ALTERNATIVE, PromptKind.UNCONDITIONAL


def encoder_of(tiny, template="alpaca", max_length=512) -> PromptEncoder:
    return PromptEncoder(tiny[1], get_template(template), max_length)


@pytest.mark.parametrize(
    ("kinds", "each"),
    [({TRUE}, 1), ({TRUE, ALTERNATIVE}, 4), ({TRUE, UNCONDITIONAL}, 2), ({UNCONDITIONAL}, 1), (set(PromptKind), 5)],
)
def test_a_method_gets_the_pairs_it_needs_and_no_other(tiny_llama, kinds, each):
    plan = plan_pairs(*corpus(3), frozenset(kinds), encoder_of(tiny_llama))
    assert len(plan.pairs) == 3 * each
    assert {pair.kind for pair in plan.pairs} == kinds


def test_every_prompt_of_an_example_sees_the_same_target(tiny_llama):
    whole = plan_pairs(*corpus(4), frozenset(PromptKind), encoder_of(tiny_llama)).pairs
    limit = max(len(pair.prompt_ids) + len(pair.target_ids) for pair in whole) - 12
    plan = plan_pairs(*corpus(4), frozenset(PromptKind), encoder_of(tiny_llama, max_length=limit))
    assert plan.num_truncated > 0
    for example in {pair.example_id for pair in plan.pairs}:
        targets = {tuple(pair.target_ids) for pair in plan.pairs if pair.example_id == example}
        assert len(targets) == 1
    assert all(len(pair.prompt_ids) + len(pair.target_ids) <= limit for pair in plan.pairs)


def test_what_cannot_be_scored_is_set_aside_with_its_reason(tiny_llama):
    examples, alternatives = corpus(3)
    del alternatives["e1"]
    examples.append(Example("long", "word " * 600, "", "answer"))
    plan = plan_pairs(
        examples, alternatives | {"long": alternatives["e0"]}, frozenset({TRUE, ALTERNATIVE}), encoder_of(tiny_llama)
    )
    assert {aside.example_id: aside.reason.split(";")[0] for aside in plan.set_aside} == {
        "e1": "it has no alternative instruction",
        "long": "the prompt leaves no room for the output within 512 tokens",
    }
    assert {pair.example_id for pair in plan.pairs} == {"e0", "e2"}


def test_before_the_unconditional_target_stands_bos_or_eos_or_the_header(tiny_llama, tiny_qwen3):
    kinds = frozenset({UNCONDITIONAL})
    examples, _ = corpus(1)
    llama, qwen = encoder_of(tiny_llama), encoder_of(tiny_qwen3)
    assert list(plan_pairs(examples, {}, kinds, llama).pairs[0].prompt_ids) == [tiny_llama[1].bos_token_id]
    assert list(plan_pairs(examples, {}, kinds, qwen).pairs[0].prompt_ids) == [tiny_qwen3[1].eos_token_id]
    header = plan_pairs(examples, {}, kinds, llama, "response_header").pairs[0].prompt_ids
    assert tiny_llama[1].decode(list(header)[1:]) == "### Response:\n"
    with pytest.raises(ConfigError, match="direct_context"):
        plan_pairs(examples, {}, kinds, encoder_of(tiny_llama, "plain"), "response_header")
