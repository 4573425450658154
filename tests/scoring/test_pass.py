"""A likelihood pass: exact, computed once, resumed, and honest about what it can't do."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.scoring.conftest import ALL_KINDS, corpus
from tss_lab.engine import score as score_module
from tss_lab.engine.attention import TreeUnsupportedError
from tss_lab.engine.plain import plain_score
from tss_lab.engine.score import Scorer, pack_indices, score_pairs
from tss_lab.errors import ArtifactError, ModelError
from tss_lab.models import load_model
from tss_lab.runs.likelihoods import COLUMNS, to_likelihoods
from tss_lab.scoring import plan_pairs, run
from tss_lab.scoring.module import ScoringModule
from tss_lab.types import PromptKind


@pytest.mark.parametrize("name", ["llama", "gemma3", "qwen3"])
def test_table_equals_single_float64_passes(bench, name):
    b = bench(name)
    plan = b.plan()
    done = b.run(plan)
    model = load_model(b.local.folder)
    expected = np.array([plain_score(model, pair)[0] for pair in plan.pairs])
    assert np.abs(done.frame["loglik"].to_numpy() - expected).max() < 5e-4
    assert done.engine == "tree"
    assert done.self_check_difference < 5e-4
    assert done.frame["example_id"].to_list() == [pair.example_id for pair in plan.pairs]


def test_numbers_equal_lm_evals_on_the_same_ids(bench):
    from lm_eval.models.huggingface import HFLM

    b = bench()
    pairs = b.plan().pairs
    model = load_model(b.local.folder)
    harness = HFLM(pretrained=model, tokenizer=b.encoder.tokenizer, batch_size=4, device="cpu")
    requests = [(("", ""), list(pair.prompt_ids), list(pair.target_ids)) for pair in pairs]
    theirs = harness._loglikelihood_tokens(requests, disable_tqdm=True)
    loglik, greedy = score_pairs(model, pairs, b.scoring)
    assert np.abs(loglik - [value for value, _ in theirs]).max() < 5e-3
    assert greedy.tolist() == [hit for _, hit in theirs]


def test_identical_pairs_are_computed_once(bench):
    b = bench()
    examples, alternatives = corpus(3)
    twice = examples + [dataclasses.replace(example, example_id=example.example_id + "b") for example in examples]
    plan = plan_pairs(twice, alternatives | {k + "b": v for k, v in alternatives.items()}, ALL_KINDS, b.encoder)
    done = b.run(plan)
    assert done.num_computed == plan.num_distinct < len(plan.pairs) == len(done.frame)
    by_example = done.frame.group_by("example_id", maintain_order=True).agg("loglik")["loglik"].to_list()
    assert by_example[:3] == by_example[3:]


def test_only_what_is_missing_is_computed(bench, monkeypatch):
    """Another method, other examples, more alternatives: each pair once; nothing missing, no model loaded."""
    b = bench()
    first = b.run(b.plan(4, frozenset({PromptKind.TRUE})))
    assert (first.num_resumed, first.num_computed) == (0, 4)
    second = b.run(b.plan(4))
    assert second.num_resumed == 4
    third = b.run(b.plan(6))
    assert third.num_resumed == second.num_resumed + second.num_computed
    stored = b.store.artifacts()[0].scan().collect()
    assert stored["pair_id"].is_unique().all()
    monkeypatch.setattr(run, "_computed", None)
    again = b.run(b.plan(6), may_compute=False)
    assert (again.num_computed, again.engine) == (0, None)
    assert again.frame.equals(third.frame)


def test_a_sweep_over_all_methods_costs_one_pass(bench, monkeypatch):
    """Every pair is in exactly one forward pass, whatever methods follow on the same store."""
    b = bench()
    scored: list[int] = []
    original = ScoringModule.predict_step
    monkeypatch.setattr(ScoringModule, "predict_step", lambda self, pack: scored.extend(pack) or original(self, pack))
    done = b.run(b.plan())
    assert len(scored) == done.num_computed
    assert done.num_forwards == len(pack_indices(_distinct(b.plan().pairs), 200)) + 1
    needs = [{PromptKind.TRUE}, {PromptKind.TRUE, PromptKind.ALTERNATIVE}, {PromptKind.TRUE, PromptKind.UNCONDITIONAL}]
    for kinds in needs * 5:
        b.run(b.plan(kinds=frozenset(kinds)))
    assert len(scored) == done.num_computed


def _distinct(pairs):
    return list({pair.pair_id: pair for pair in pairs}.values())


def test_missing_pairs_without_leave_to_compute(bench):
    b = bench()
    with pytest.raises(ArtifactError, match="add likelihoods to stages"):
        b.run(b.plan(), may_compute=False)


def test_altered_shard_is_named_and_computed_again(bench, caplog):
    b = bench(pairs_per_shard=1)
    before = b.run(b.plan())
    shards = b.store.artifacts()[0].shards()
    assert len(shards) > 2
    content = bytearray(shards[0].read_bytes())
    content[len(content) // 2] ^= 1
    shards[0].write_bytes(content)
    shards[1].write_bytes(shards[1].read_bytes()[:-7])
    after = b.run(b.plan())
    assert after.num_computed > 0
    assert np.allclose(after.frame["loglik"], before.frame["loglik"], atol=1e-4, rtol=0)
    assert shards[0].name in caplog.text
    assert len(list(shards[0].parent.glob("*.corrupt"))) == 2


def test_changed_weights_under_the_same_name_are_another_artefact(bench, tiny_model_folder, tmp_path):
    b = bench()
    b.run(b.plan())
    other = type(b)(tiny_model_folder("qwen3"), tmp_path)
    assert other.run(other.plan()).num_resumed == 0
    assert len(b.store.artifacts()) == 2


@pytest.fixture
def damaged(bench, tiny_llama, tmp_path) -> Path:
    """A tiny Llama whose embedding of one output token is not a number."""
    from tests.conftest import make_tiny_llama

    model, tokenizer = make_tiny_llama()
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer.encode("mat", add_special_tokens=False)[-1]] = float("nan")
    model.save_pretrained(tmp_path / "damaged")
    tokenizer.save_pretrained(tmp_path / "damaged")
    return tmp_path / "damaged"


def test_not_a_number_is_named_and_not_written(bench, damaged, tmp_path):
    b = type(bench())(damaged, tmp_path, self_check_pairs=0)
    with pytest.raises(ModelError, match=r"example e\d .*is nan.*embed_tokens.*Nothing of them was written"):
        b.run(b.plan())
    artifact = b.store.artifact("likelihoods", run.likelihood_identity(b.local, b.encoder, b.scoring))
    stored = artifact.scan().collect()
    assert 0 < len(stored) < len(b.plan().pairs)
    assert stored["loglik"].is_finite().all()


def test_out_of_memory_halves_the_pack_and_goes_on(bench, monkeypatch):
    b = bench(tokens_per_pack=5000)
    pairs = _distinct(b.plan().pairs)
    model = load_model(b.local.folder)
    expected, _ = score_pairs(model, pairs, b.scoring)
    original = score_module.encode
    refused = []

    def tight(model, pack):
        if pack.num_tokens > 300:
            refused.append(pack.num_tokens)
            raise torch.OutOfMemoryError("out of memory")
        return original(model, pack)

    monkeypatch.setattr(score_module, "encode", tight)
    scorer = Scorer(model, b.scoring)
    found, _ = scorer.score(pairs)
    assert np.allclose(found, expected, atol=1e-4, rtol=0)
    assert scorer.tokens_per_pack <= 300
    first = len(refused)
    assert np.allclose(scorer.score(pairs)[0], expected, atol=1e-4, rtol=0)
    assert len(refused) == first  # the next pack is cut before it is tried


def test_a_pair_too_large_for_memory_is_named(bench, monkeypatch):
    b = bench()

    def refuse(model, pack):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(score_module, "encode", refuse)
    with pytest.raises(ModelError, match=r"a pair of \d+ tokens doesn't fit"):
        Scorer(load_model(b.local.folder), b.scoring).score(b.plan(1).pairs)


def test_model_that_the_tree_cannot_take_falls_back(bench, monkeypatch):
    b = bench()
    plan = b.plan(2)
    expected = b.run(plan).frame["loglik"]
    monkeypatch.setattr(score_module, "tree_refusal", lambda model: "it caps its attention scores")
    b.store = type(b.store)(b.store.root / "other")
    fallen = b.run(plan)
    assert fallen.engine == "plain"
    assert np.allclose(fallen.frame["loglik"], expected, atol=5e-4, rtol=0)
    b.scoring = b.scoring.model_copy(update={"engine": "tree"})
    b.store = type(b.store)(b.store.root / "third")
    with pytest.raises(ModelError, match=r"scoring\.engine=tree"):
        b.run(plan)


def test_model_that_turns_out_not_to_fit_the_tree_falls_back(bench, monkeypatch):
    b = bench()

    def asks_for_more(model, pack):
        raise TreeUnsupportedError("the attention asks for sinks")

    expected = b.run(b.plan(2)).frame["loglik"]
    monkeypatch.setattr(score_module, "encode", asks_for_more)
    b.store = type(b.store)(b.store.root / "other")
    fallen = b.run(b.plan(2))
    assert fallen.engine == "plain"
    assert np.allclose(fallen.frame["loglik"], expected, atol=5e-4, rtol=0)


def test_wrong_tree_numbers_are_caught_before_anything_is_written(bench, monkeypatch):
    b = bench()
    original = score_module.encode
    monkeypatch.setattr(score_module, "encode", lambda model, pack: original(model, pack) * 1.05)
    done = b.run(b.plan(2))
    assert done.engine == "plain"


def test_a_runs_view_has_the_public_columns(bench):
    b = bench()
    table = b.run(b.plan()).frame.select(list(COLUMNS))
    assert dict(table.schema) == COLUMNS
    assert len(to_likelihoods(table)) == 6
