"""Our IFD against other projects' definitions of it: where they agree, and why they differ where they do."""

import math
from pathlib import Path

import pytest
import torch
from pytest import approx

from tests.methods import peers
from tss_lab.config import ScoringConfig
from tss_lab.engine.score import score_pairs
from tss_lab.methods import Evidence
from tss_lab.methods.ifd import InstructionFollowingDifficulty
from tss_lab.models import load_model, load_tokenizer
from tss_lab.prompts import PromptEncoder
from tss_lab.runs import names
from tss_lab.runs.likelihoods import stored_rows, to_likelihoods
from tss_lab.scoring import plan_pairs
from tss_lab.types import Example

ROWS = [
    Example("a", "Name three colours.", "", "red, green and blue"),
    Example("b", "Summarise the text in one sentence.", "The cat sat on the mat.", "A cat sat."),
    Example("c", "What is the capital of Italy?", "", "Rome"),
]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def ours(model, tokenizer, examples, template, max_length=2048, **settings):
    """Our IFD of each example under a template."""
    method = InstructionFollowingDifficulty(**settings)
    plan = plan_pairs(examples, {}, method.needs.kinds, PromptEncoder(tokenizer, template, max_length),
                      method.needs.direct_context)  # fmt: skip
    loglik_P = score_pairs(model, plan.pairs, ScoringConfig(self_check_pairs=0))[0]
    return method.score(Evidence(examples, to_likelihoods(stored_rows(plan.pairs, loglik_P))), seed=0)


def test_superfiltering_by_hand(tiny_llama):
    """The ratio of the perplexities that the model's own loss gives, prompt positions masked."""
    model, tokenizer = tiny_llama
    example = ROWS[0]
    prompt = "Name three colours.\n"
    whole = torch.tensor([tokenizer.encode(prompt + example.output)])
    labels = whole.clone()
    labels[0, : len(tokenizer.encode(prompt))] = -100
    alone = torch.tensor([tokenizer.encode(example.output)])
    with torch.no_grad():
        expected = torch.exp(model(whole, labels=labels).loss - model(alone, labels=alone).loss)
    framed = peers.superfiltering_ids(tokenizer, example)
    assert peers.superfiltering(model, framed) == approx(float(expected), rel=1e-5)


def test_with_a_beginning_token_ours_is_superfilterings(tiny_llama):
    model, tokenizer = tiny_llama
    theirs = [peers.superfiltering(model, peers.superfiltering_ids(tokenizer, one)) for one in ROWS]
    assert ours(model, tokenizer, ROWS, peers.SUPERFILTERING) == approx(theirs, rel=1e-4)


def test_after_the_response_header_ours_is_cherrys(tiny_llama):
    model, tokenizer = tiny_llama
    theirs = [peers.cherry(model, peers.cherry_ids(tokenizer, one)) for one in ROWS]
    mine = ours(model, tokenizer, ROWS, peers.CHERRY, kind="loss_ratio", direct_context="response_header")
    assert mine == approx(theirs, rel=1e-4)


def test_without_a_beginning_token_superfiltering_leaves_the_first_token_unscored(tiny_qwen3):
    """Then a one-token output has no ratio at all; ours scores every token, after the end-of-text token."""
    model, tokenizer = tiny_qwen3
    one_token = Example("t", "Say it.", "", "a")
    assert len(tokenizer.encode(one_token.output)) == 1
    framed = peers.superfiltering_ids(tokenizer, one_token)
    assert framed.scored == (1, 0)
    assert math.isnan(peers.superfiltering(model, framed))
    assert ours(model, tokenizer, [one_token], peers.SUPERFILTERING)[0] > 0
    framed = peers.superfiltering_ids(tokenizer, ROWS[0])
    assert framed.scored[0] - framed.scored[1] == 1


def test_a_cut_takes_the_output_before_the_input(tiny_llama):
    """Both cut from the right; ours shortens the input first and keeps the output whole."""
    model, tokenizer = tiny_llama
    example = Example("l", "Summarise the text.", "The cat sat on the mat. " * 12, "A cat sat.")
    whole = peers.superfiltering_ids(tokenizer, example, max_length=10_000)
    limit = whole.start + 2
    framed = peers.superfiltering_ids(tokenizer, example, limit)
    assert (framed.lost, framed.scored[0]) == (whole.num_target - 2, 2)
    assert math.isnan(peers.superfiltering(model, peers.superfiltering_ids(tokenizer, example, whole.start)))
    encoder = PromptEncoder(tokenizer, peers.SUPERFILTERING, limit)
    assert len(encoder.encode_example([example.instruction], example.input, example.output).target_ids) == (
        len(encoder.encode(example.output))
    )
    cut = peers.cherry_ids(tokenizer, example, peers.cherry_ids(tokenizer, example, 10_000).start + 8)
    assert cut.scored == (
        cut.num_target,
        6 - cut.direct_start,
    )  # nothing is lost, and the passes differ
    assert peers.cherry_ids(tokenizer, example, cut.start + 6) is None


@pytest.mark.real_model
@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.exists(), reason="the real samples are not beside the checkout")
@pytest.mark.parametrize("name", ["gemma3_270m", "smollm2_135m"])
def test_on_real_rows_and_models(name):
    """Eight short Dolly rows: with a beginning token (Gemma) both agree, without one (SmolLM2) the tokens differ."""
    folder = next(Path("~/.cache/tss_lab/models").expanduser().glob(f"{name}-*/"), None)
    if folder is None:
        pytest.skip(f"{name} is not in the cache")
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    rows = list(names.read_lines(SHARED / "dolly" / "dolly_sample.jsonl"))
    examples = [
        Example(str(n), row["instruction"], row["context"], row["response"])
        for n, row in enumerate(rows)
        if len(row["context"]) + len(row["response"]) < 150
    ][:8]
    framed = [peers.superfiltering_ids(tokenizer, one) for one in examples]
    theirs = [peers.superfiltering(model, one) for one in framed]
    mine = ours(model, tokenizer, examples, peers.SUPERFILTERING)
    if name == "gemma3_270m":
        assert all(one.scored[0] == one.scored[1] for one in framed)
        assert mine == approx(theirs, rel=1e-3)
    else:
        assert all(one.scored[0] == one.scored[1] + 1 for one in framed)
        assert max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) > 0.01
    mine = ours(model, tokenizer, examples, peers.CHERRY, kind="loss_ratio", direct_context="response_header")
    whole = [peers.cherry_ids(tokenizer, one) for one in examples]
    assert mine == approx([peers.cherry(model, one) for one in whole], rel=1e-3)
