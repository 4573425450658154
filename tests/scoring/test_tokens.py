"""Likelihoods token by token: the model's own loss, no second pass, and arrays that a method can use."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tss_lab.errors import ArtifactError
from tss_lab.models import load_model
from tss_lab.runs.likelihoods import to_likelihoods
from tss_lab.scoring import run


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_each_token_has_transformers_own_loss(bench, name):
    b = bench(name)
    plan = b.plan(4)
    frame = b.run(plan, per_token=True).frame
    model = load_model(b.local.folder)
    for pair, values, total in zip(plan.pairs, frame["token_loglik"].to_list(), frame["loglik"], strict=True):
        ids = torch.tensor([[*pair.prompt_ids, *pair.target_ids]])
        start = len(pair.prompt_ids)
        logits = model(input_ids=ids).logits[0, start - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, ids[0, start:], reduction="none")
        assert np.abs(np.array(values) + loss.detach().numpy()).max() < 1e-4
        assert sum(values) == pytest.approx(total, abs=1e-4)


def test_tokens_cost_no_second_pass_and_only_what_is_missing(bench, monkeypatch):
    """Sums alone are there for two of four examples: asking for tokens computes all, and changes no sum."""
    b = bench()
    sums = b.run(b.plan(2)).frame
    whole = b.run(b.plan(4), per_token=True)
    assert whole.num_resumed == 0
    likelihoods = b.store.artifact("likelihoods", run.likelihood_identity(b.local, b.encoder, b.scoring))
    assert likelihoods.scan().collect()["pair_id"].is_unique().all()
    assert b.run(b.plan(2)).frame.equals(sums)
    monkeypatch.setattr(run, "_computed", None)
    again = b.run(b.plan(4), per_token=True, may_compute=False)
    assert again.frame.equals(whole.frame)
    with pytest.raises(ArtifactError, match="add likelihoods to stages"):
        b.run(b.plan(6), per_token=True, may_compute=False)


def test_arrays_hold_each_value_at_its_place(bench):
    """Sums over an example's tokens are its log-likelihoods, kind by kind, whatever the lengths."""
    frame = bench().run(bench().plan(5), per_token=True).frame
    table = to_likelihoods(frame)
    tokens = table.tokens
    assert np.diff([*tokens.first_N, len(tokens.true_R)]).tolist() == table.num_target_tokens_N.tolist()
    assert np.add.reduceat(tokens.true_R, tokens.first_N) == pytest.approx(table.true_loglik_N, abs=1e-4)
    sums_NK = np.add.reduceat(tokens.alternative_RK, tokens.first_N, axis=0)
    assert sums_NK == pytest.approx(table.alternative_loglik_NK, abs=1e-4)
    sums_N = np.add.reduceat(tokens.unconditional_R, tokens.first_N)
    assert sums_N == pytest.approx(table.unconditional_loglik_N, abs=1e-4)


def test_a_list_of_the_wrong_length_is_named(bench):
    frame = bench().run(bench().plan(2), per_token=True).frame
    cut = frame.with_columns(token_loglik=frame["token_loglik"].list.head(1))
    with pytest.raises(ArtifactError, match="example e0 doesn't have a value for each target token"):
        to_likelihoods(cut)
