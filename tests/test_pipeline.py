"""The pipeline by itself: what a job leaves undone, and what it lets go of."""

import json
import shutil

import polars as pl
import pytest
from transformers import AutoConfig

from tests.alternatives.conftest import BagOfWords
from tests.test_end_to_end import corpus
from tss_lab import pipeline
from tss_lab.alternatives import embed
from tss_lab.cli.compose import config_of
from tss_lab.errors import DataError, ModelError
from tss_lab.runs import read_run


def settings(place, *more):
    corpus(place)
    return config_of([
        "dataset=jsonl", f"dataset.path={place}/rows.jsonl", f"paths.store={place}/store", f"paths.runs={place}/runs",
        "method=random", "run_name=a", *more,
    ])  # fmt: skip


def test_scores_alone_choose_nothing(tmp_path):
    run = read_run(pipeline.run(settings(tmp_path, "stages=[scores]")))
    assert "scores/mean" in run.metrics
    assert run.selection is None
    assert not (run.folder / "selected.jsonl").exists()
    pipeline.run(settings(tmp_path, "stages=[selection]"))
    assert read_run(run.folder).selection.num_kept == round(0.15 * 24)


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_lets_go_of_what_it_held(tmp_path, monkeypatch, fails):
    let_go = []
    monkeypatch.setattr("tss_lab.models.free_memory", lambda: let_go.append("memory"))
    monkeypatch.setattr("tss_lab.engine.flex.forget_compiled", lambda: let_go.append("compiled"))
    config = settings(tmp_path, "stages=[selection]")
    if fails:
        (tmp_path / "rows.jsonl").write_text("", encoding="utf-8")
        with pytest.raises(DataError):
            pipeline.run(config)
    else:
        pipeline.run(config)
    assert sorted(let_go) == ["compiled", "memory"]


@pytest.mark.parametrize("path", ["no/such/model-directory", "/no/such/model-directory"])
def test_a_model_that_is_not_there_leaves_no_folder(tmp_path, monkeypatch, path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="no/such/model-directory"):
        pipeline.run(settings(tmp_path, "method=ppl", f"model.path={path}"))
    assert not (tmp_path / "runs").exists()


def test_a_tree_that_the_model_cannot_have_is_refused_before_weights_are_read(tmp_path, monkeypatch, tiny_llama_folder):
    shutil.copytree(tiny_llama_folder, tmp_path / "model")
    known = json.loads((tmp_path / "model" / "config.json").read_text())
    sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    capped = AutoConfig.for_model("gemma2", **{name: known[name] for name in sizes}, head_dim=16)
    capped.save_pretrained(tmp_path / "model")
    monkeypatch.setattr("tss_lab.models.load.load_model", None)  # would fail if called
    with pytest.raises(ModelError, match=r"scoring.engine=tree: gemma2 caps its attention scores; take .*engine=auto"):
        pipeline.run(settings(tmp_path, "method=ppl", f"model.path={tmp_path}/model", "scoring.engine=tree"))
    assert not (tmp_path / "runs").exists()


def test_a_reader_that_leaves_early_stops_no_run(tmp_path, monkeypatch):
    def broken(*_):
        raise BrokenPipeError

    monkeypatch.setattr("tss_lab.report.terminal.print_end", broken)
    with pytest.raises(BrokenPipeError):
        pipeline.run(settings(tmp_path, "stages=[dataset]"))
    assert read_run(tmp_path / "runs" / "a").is_finished


def test_the_embedder_is_found_once_a_run(tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(embed, "Embedder", lambda *_: found.append(BagOfWords()) or found[0])
    pipeline.run(settings(tmp_path, "stages=[alternatives]", "alternatives=retrieved", "alternatives.k=2"))
    assert len(found) == 1


def test_data_that_are_not_there_leave_no_folder(tmp_path):
    config = settings(tmp_path)
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(DataError, match="is not there; check the path"):
        pipeline.run(config)
    assert not (tmp_path / "runs").exists()


def test_a_probe_alone_makes_what_it_needs_and_nothing_else(tmp_path, tiny_model_folder):
    """Found again from the store the second time; its numbers are metrics, its rows a table."""
    place = [f"model.path={tiny_model_folder('llama')}", "alternatives=retrieved", "stages=[probe]"]
    run = read_run(pipeline.run(settings(tmp_path, *place, "probe.kinds=[random,vague]", "alternatives.k=2")))
    assert run.selection is None
    assert run.probe.examples == 24
    assert run.probe.kinds == ["random", "vague"]
    methods = [one.setting.method for one in run.probe.of("random")]
    assert sorted(methods) == ["ifd", "length", "ppl", "tss", "tss_mix", "tss_pp"]
    assert 0 <= run.metrics["probe/random/tss_retrieved"] <= 1
    assert run.probe.advice
    table = pl.read_parquet(run.folder / "probe.parquet")
    assert len(table) == 36 * 5
    assert table["preference"].null_count() == 0


def test_a_method_of_single_tokens_is_scored_and_its_stability_told(tmp_path, tiny_model_folder):
    place = [f"model.path={tiny_model_folder('llama')}", "alternatives=retrieved", "alternatives.k=3"]
    config = settings(tmp_path, *place, "method=tss_mix", "stages=[alternatives,likelihoods,scores,selection]")
    run = read_run(pipeline.run(config, ["generator.extra_body={api_key: sk-1}"]))
    assert run.likelihoods.tokens is not None
    assert -1 <= run.metrics["scores/stability/halves"] <= 1
    assert "sk-1" not in (run.folder / "run.json").read_text(encoding="utf-8")


def test_what_the_probe_refuses_is_refused_before_the_passes(tmp_path, tiny_model_folder, monkeypatch):
    config = settings(tmp_path, f"model.path={tiny_model_folder('llama')}", "method=ppl", "stages=[likelihoods,probe]")
    rows = [f'{{"instruction": "One task.", "input": "{n}", "output": "{n}"}}\n' for n in range(8)]
    (tmp_path / "rows.jsonl").write_text("".join(rows), encoding="utf-8")
    monkeypatch.setattr(pipeline, "take_likelihoods", None)  # would fail if called
    with pytest.raises(DataError, match="all of the data set's are alike"):
        pipeline.run(config)
