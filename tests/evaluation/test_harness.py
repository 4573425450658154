"""The whole way through lm-eval on tiny models, and the tree engine against lm-eval's own HFLM."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pytest import approx

from tss_lab.config import EvalConfig, ScoringConfig
from tss_lab.errors import EvaluationError
from tss_lab.evaluation.results import find_result
from tss_lab.runs.evaluations import flat_metrics

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "benchmarks"
TOLERANCE = 5e-3
"""nats; HFLM's float32 log-softmax is itself off by up to 2e-3 on long answers."""


def tree_scorer(model):
    from tss_lab.engine.score import score_pairs

    return partial(score_pairs, model, scoring=ScoringConfig())


def evaluated(tiny, config, output, fingerprint="tiny", tree=True):
    from tss_lab.evaluation.harness import evaluate

    model, tokenizer = tiny
    return evaluate(model, tokenizer, config, output, fingerprint, tree_scorer(model) if tree else None)


def test_tree_numbers_are_hflm_numbers(tiny_model):
    """Multiple-choice questions, one-token answers, an empty context and one beyond the length limit."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from tss_lab.evaluation.tree_lm import TreeLM

    model, tokenizer = tiny_model
    contexts = ["Question: What is the capital of Italy?\nAnswer:", "List three colours:", "", "red, green " * 60]
    choices = [" A", " Rome", " The capital of Italy is Rome.", " red, green and blue"]
    requests = [Instance("loglikelihood", {}, (context, choice), 0) for context in contexts for choice in choices]
    settings = {"pretrained": model, "tokenizer": tokenizer, "max_length": 128}
    reference = HFLM(**settings, batch_size=4).loglikelihood(requests, disable_tqdm=True)
    ours = TreeLM(tree_scorer(model), **settings).loglikelihood(requests, disable_tqdm=True)
    assert [value for value, _ in ours] == approx([value for value, _ in reference], abs=TOLERANCE)
    assert [greedy for _, greedy in ours] == [greedy for _, greedy in reference]


def test_demonstration_items_end_to_end(tiny_llama, tmp_path):
    from lm_eval.api.metrics import mean_stderr

    config = EvalConfig(name="mini", limit=3)
    result = evaluated(tiny_llama, config, tmp_path)
    samples = pl.read_parquet(tmp_path / "samples.parquet")

    assert [score.accuracy.n for score in result.benchmarks] == [3, 4 * 3, 3, 3]
    assert len(set(result.item_id_N)) == len(result.item_id_N) == 21
    assert all("demonstration items" in score.display_name for score in result.benchmarks)
    assert result.total.value == approx(sum(score.accuracy.value for score in result.benchmarks))
    assert result.total.standard_error == approx(
        np.sqrt(sum(score.accuracy.standard_error**2 for score in result.benchmarks))
    )
    for row in samples.iter_rows(named=True):
        assert row["correct"] == (int(np.argmax(row["loglik"])) == row["target"])
    for score in result.benchmarks:
        correct = samples.filter(pl.col("benchmark") == score.name)["correct"].to_list()
        assert score.accuracy.value == approx(100 * np.mean(correct))
        assert score.accuracy.standard_error == approx(100 * mean_stderr([float(one) for one in correct]))
        assert score.chance == approx(25.0)


def test_both_engines_answer_alike(tiny_gemma3, tmp_path):
    config = EvalConfig(name="mini", limit=2, benchmarks=["arc_challenge", "hellaswag"])
    tree = evaluated(tiny_gemma3, config, tmp_path / "tree")
    plain = evaluated(tiny_gemma3, config.model_copy(update={"engine": "hf"}), tmp_path / "hf", tree=False)
    logliks = [pl.read_parquet(tmp_path / name / "samples.parquet")["loglik"].explode() for name in ("tree", "hf")]
    assert logliks[0].to_list() == approx(logliks[1].to_list(), abs=TOLERANCE)
    assert list(tree.item_id_N) == list(plain.item_id_N)


def test_a_known_result_needs_no_model(tiny_qwen3, tmp_path):
    config = EvalConfig(name="mini", limit=1, benchmarks=["hellaswag"])
    first = evaluated(tiny_qwen3, config, tmp_path)
    again = evaluated((None, None), config, tmp_path)
    assert flat_metrics(again) == flat_metrics(first)
    assert list(again.item_id_N) == list(first.item_id_N)
    assert find_result(tmp_path, config, "another model") is None
    assert find_result(tmp_path, config.model_copy(update={"limit": 2}), "tiny") is None
    assert find_result(tmp_path, config.model_copy(update={"batch_size": 1}), "tiny") is not None
    (tmp_path / "samples.parquet").unlink()
    assert find_result(tmp_path, config, "tiny") is None


def test_results_say_what_was_run(tiny_qwen3, tmp_path):
    evaluated(tiny_qwen3, EvalConfig(name="mini", limit=1, benchmarks=["truthfulqa_mc1"]), tmp_path)
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["label"].startswith("demonstration items, at most 1 item")
    assert content["shots"] == 0
    assert content["metric"] == "acc"
    assert "truthfulqa_mc1_stderr" not in content["metrics"]  # one item has none
    assert content["metrics"]["sum"] == content["metrics"]["truthfulqa_mc1"]


def test_a_damaged_model_is_refused(tmp_path):
    import torch

    from tests.conftest import make_tiny_llama

    model, tokenizer = make_tiny_llama()
    torch.nn.init.constant_(model.lm_head.weight, float("nan"))
    config = EvalConfig(name="mini", limit=1, benchmarks=["arc_challenge"], engine="hf")
    with pytest.raises(EvaluationError, match="ARC-Challenge-style demonstration items, item 0"):
        evaluated((model, tokenizer), config, tmp_path, tree=False)
    assert not (tmp_path / "results.json").exists()


def test_no_network_is_one_sentence(tiny_llama, tmp_path, monkeypatch):
    import datasets

    def unreachable(*_args, **_settings):
        raise ConnectionError("Couldn't reach 'allenai/ai2_arc' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(EvaluationError, match=r"from the Hugging Face hub \(Couldn't reach.*eval\.mirror"):
        evaluated(tiny_llama, EvalConfig(name="paper", limit=1, benchmarks=["arc_challenge"]), tmp_path)


def test_a_questions_own_line_separators_stay_in_it(tiny_llama, tmp_path):
    path = tmp_path / "arc_challenge" / "test.jsonl"
    path.parent.mkdir()
    row = {"question": "One\x85two\u2028three?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    config = EvalConfig(name="paper", mirror=str(tmp_path), benchmarks=["arc_challenge"])
    assert evaluated(tiny_llama, config, tmp_path / "out").total.n == 1
    samples = pl.read_parquet(tmp_path / "out" / "samples.parquet")
    assert samples["question"].to_list() == ["Question: One\x85two\u2028three?\nAnswer:"]


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real benchmark samples are not beside the checkout")
def test_a_mirror_of_the_real_items(tiny_llama, tmp_path):
    """Three- and five-choice rows, digit labels and HellaSwag's brackets go through lm-eval's own prompts."""
    names = ["arc_challenge", "hellaswag", "truthfulqa_mc1"]
    result = evaluated(tiny_llama, EvalConfig(name="paper", mirror=str(SHARED), limit=2, benchmarks=names), tmp_path)
    assert [score.display_name for score in result.benchmarks] == ["ARC-Challenge", "HellaSwag", "TruthfulQA-MC1"]
    assert "items from a local mirror" in result.label
    questions = pl.read_parquet(tmp_path / "samples.parquet")["question"].to_list()
    assert questions[0].startswith("Question: ")
    assert questions[-1].startswith("Q: What is human life expectancy in the United States?")
