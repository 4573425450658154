"""The pipeline by itself: what a job leaves undone, and what it lets go of."""

import polars as pl
import pytest

from tests.test_end_to_end import corpus
from tss_lab import pipeline
from tss_lab.cli.compose import config_of
from tss_lab.errors import DataError
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
    assert sorted(methods) == ["ifd", "length", "ppl", "tss", "tss_pp"]
    assert 0 <= run.metrics["probe/random/tss_retrieved"] <= 1
    assert run.probe.advice
    table = pl.read_parquet(run.folder / "probe.parquet")
    assert len(table) == 36 * 4
    assert table["preference"].null_count() == 0
