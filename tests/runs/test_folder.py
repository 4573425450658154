"""The run folder: what goes in comes out, and it belongs to one run."""

import json
import math
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest

from tests.made_up import result_of, run_config, write_folder
from tss_lab.errors import ArtifactError
from tss_lab.runs import names, open_folder, read_run
from tss_lab.runs.audits import Audit, Overlap, Shift
from tss_lab.types import Alternative, Estimate, Example, HeldOutMeasure, Likelihoods, Selection, SetAside

EXAMPLES = [
    Example("e0", "Name it.\u2028", "x\u0085y", "red", "colours", "made up", {"why": "because", "turns": 2}),
    Example("e1", "Count.", "", "three", None, "made up"),
]
HELD_OUT = [Example("h0", "Say.", "", "so", None, "made up")]
ALTERNATIVES = [Alternative("e0", 0, "List it.", "retrieved", 0.5), Alternative("e1", 0, "Sort.", "generated")]


def content():
    ids = np.array(["e0", "e1"], dtype=object)
    likelihoods = Likelihoods(
        ids, np.array([-1.5, -2.0]), np.array([[-3.0], [-1.0]]), np.array([1, 1]), np.full(2, np.nan), np.array([3, 4])
    )
    selection = Selection(ids, np.array([1.5, -1.0]), np.array([0, 1]), np.array([True, False]), np.array([1.0, 0.0]))
    one_item = Estimate(2.0, math.nan, 1)
    return {
        "examples": EXAMPLES, "held_out_examples": HELD_OUT, "num_target_tokens": {"e0": 3, "e1": 4},
        "alternatives": ALTERNATIVES, "likelihoods": likelihoods, "selection": selection,
        "set_aside": [SetAside("row 3", "empty output", "'output' is empty")],
        "curve": [(1, 2.5), (2, 2.25)], "held_out_loss": [(0, 3.0)],
        "zero_shot": result_of({"mmlu": [True, False, False]}), "tuned": result_of({"mmlu": [True, True, False]}),
        "held_out": [HeldOutMeasure("nll", "Loss", "nats a token", "lower", one_item, one_item, one_item)],
        "held_out_table": pl.DataFrame({"example_id": ["h0"], "n_target_tokens": [2], "loglik_before": [-4.0],
                                        "loglik_after": [-4.0]}),
    }  # fmt: skip


def test_what_goes_in_comes_out(tmp_path):
    given = content()
    run = read_run(write_folder(run_config(tmp_path / "runs", "a", "method=tss"), **given))
    assert run.is_finished
    assert run.examples == EXAMPLES
    assert run.examples[0].extra == EXAMPLES[0].extra
    assert run.held_out_examples == HELD_OUT
    assert run.alternatives == ALTERNATIVES
    assert run.set_aside == given["set_aside"]
    assert run.num_target_tokens == {"e0": 3, "e1": 4}
    for column in ("true_loglik_N", "alternative_loglik_NK", "num_target_tokens_N"):
        assert np.array_equal(getattr(run.likelihoods, column), getattr(given["likelihoods"], column))
    assert run.selection.example_id_N.tolist() == ["e0", "e1"]
    assert run.selection.kept_N.tolist() == [True, False]
    assert run.training.loss_S.tolist() == [2.5, 2.25]
    assert run.training.held_out_loss == [(0, 3.0)]
    assert run.zero_shot.result.benchmarks == given["zero_shot"].benchmarks
    assert run.tuned.result.total == given["tuned"].total
    assert run.held_out[0].before.value == 2.0
    assert math.isnan(run.held_out[0].difference.standard_error)
    assert run.metrics["eval/tuned/mmlu"] == pytest.approx(200 / 3)
    assert run.held_out_table.equals(given["held_out_table"])


def test_the_audit_comes_back_as_it_went_in(tmp_path):
    shift = Shift("category", "a | b", 3, 1, 0.75, 1 / 6, 7 / 12, (-0.1, 0.9), 0.75, (0.3, 0.95), 40 / 210, 1.0)
    overlap = Overlap("the longest outputs", 2, 1.6, (0, 3))
    audit = Audit(10, 4, 10, 4, {"en": 1.0}, 0.5, None, (shift,), (overlap,), {"source": "no row has one"})
    config = run_config(tmp_path / "runs", "a")
    folder = write_folder(config)
    with open_folder(config) as opened, opened.step("selection") as step:
        step.write(names.AUDIT, asdict(audit))
    assert read_run(folder).audit == audit
    (folder / names.AUDIT).write_text('{"rows": 10}', encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"audit.json can't be read .*; run the same command again"):
        _ = read_run(folder).audit


def test_a_run_that_did_nothing_is_a_run(tmp_path):
    run = read_run(write_folder(run_config(tmp_path / "runs", "a")))
    assert run.audit is run.selection is run.likelihoods is run.training is run.tuned is run.zero_shot is None
    assert run.held_out == run.alternatives == run.examples == []


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_another_run_is_refused_before_anything_is_written(tmp_path):
    folder = write_folder(run_config(tmp_path / "runs", "mine", "rho=0.15"), **content())
    (tmp_path / "runs" / "mine-2").mkdir()
    before = files_of(folder)
    with pytest.raises(ArtifactError, match=r"rho is 0.15 there and 0.5 here.*run_name=mine-3.*overwrite=true"):
        write_folder(run_config(tmp_path / "runs", "mine", "rho=0.5"))
    assert files_of(folder) == before


def test_settings_of_the_command_may_change(tmp_path):
    folder = write_folder(run_config(tmp_path / "runs", "mine"), metrics={"a/b": 1})
    again = run_config(
        tmp_path / "runs", "mine", "stages=[report]", "logger=tensorboard", "sft.tokens_per_pack=7",
        "scoring.tokens_per_pack=9", "eval.batch_size=3", "generator.batch_size=2", "trainer.devices=2",
    )  # fmt: skip
    write_folder(again, metrics={"c": 2})
    assert {"a/b", "c"} <= set(read_run(folder).metrics)


def test_overwrite_removes_the_other_run_and_nothing_else(tmp_path):
    folder = write_folder(run_config(tmp_path / "runs", "mine", "rho=0.15"), **content())
    (folder / "notes.txt").write_text("by hand")
    write_folder(run_config(tmp_path / "runs", "mine", "rho=0.5", "overwrite=true"))
    run = read_run(folder)
    assert run.config.rho == 0.5
    assert run.selection is None
    assert not any(name.startswith("eval/") for name in run.metrics)
    assert (folder / "notes.txt").read_text() == "by hand"


def test_data_that_changed_under_the_same_settings_is_refused(tmp_path):
    config = run_config(tmp_path / "runs", "mine")
    with open_folder(config) as folder, folder.step("dataset") as step:
        folder.claim("data", "one")
        step.write(names.SELECTED, "kept\n")
        step.write(names.SCORES, "kept\n")
    with pytest.raises(ArtifactError, match="data was another"), open_folder(config) as folder:
        folder.claim("data", "two")
    assert (folder.path / names.SELECTED).read_text() == "kept\n"
    with open_folder(config.model_copy(update={"overwrite": True})) as folder, folder.step("dataset") as step:
        step.write(names.EXAMPLES, "new\n")
        folder.claim("data", "two")
    assert not (folder.path / names.SELECTED).exists()
    assert (folder.path / names.EXAMPLES).read_text() == "new\n"


def test_data_may_change_as_long_as_there_is_no_result(tmp_path):
    """The data check says what is wrong, the file is mended, and the same command goes on."""
    config = run_config(tmp_path / "runs", "mine")
    for content in ("one", "two"):
        with open_folder(config) as folder, folder.step("dataset") as step:
            folder.claim("data", content)
            step.write(names.EXAMPLES, content)
    assert (folder.path / names.EXAMPLES).read_text() == "two"


def test_a_folder_of_somebodys_own_is_left_alone(tmp_path):
    own = tmp_path / "runs" / "mine"
    own.mkdir(parents=True)
    (own / names.CONFIG).write_text("theirs: 1\n")
    with pytest.raises(ArtifactError, match="overwrite=true"):
        write_folder(run_config(tmp_path / "runs", "mine"))
    assert [path.name for path in own.iterdir()] == [names.CONFIG]


def test_a_run_that_stopped_without_a_result_gives_its_name_away(tmp_path):
    with open_folder(run_config(tmp_path / "runs", "mine", "rho=0.2")) as folder:
        folder.claim("data", "one")
    assert read_run(write_folder(run_config(tmp_path / "runs", "mine", "rho=0.5"))).config.rho == 0.5


def test_two_processes_cannot_work_on_one_run(tmp_path):
    config = run_config(tmp_path / "runs", "mine")
    with open_folder(config), pytest.raises(ArtifactError, match="another process"), open_folder(config):
        pass


def test_a_failure_is_recorded(tmp_path):
    config = run_config(tmp_path / "runs", "mine")
    with pytest.raises(ValueError, match="no"), open_folder(config):
        raise ValueError("no")
    assert read_run(tmp_path / "runs" / "mine").record["status"] == "stopped: ValueError: no"


def broken(tmp_path, name, text):
    folder = write_folder(run_config(tmp_path / "runs", "a"), **content())
    (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (names.RECORD, json.dumps({"format_version": 1}), "older tss_lab.*overwrite=true"),
        (names.RECORD, json.dumps({"format_version": 99}), "update tss_lab"),
        (names.RECORD, "{", "can't be read"),
        (names.RECORD, "[]", "doesn't hold values by name"),
        (names.CONFIG, "rho: 0.3\n", "isn't what this version"),
        (names.METRICS, '{"a": "b"}', "a is no number"),
    ],
)
def test_what_is_no_run_is_named(tmp_path, name, text, said):
    with pytest.raises(ArtifactError, match=said):
        read_run(broken(tmp_path, name, text))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (names.SCORES, lambda run: run.selection),
        (names.EXAMPLES, lambda run: run.examples),
        (names.TRAINING, lambda run: run.training),
        (names.SET_ASIDE, lambda run: run.set_aside),
        (f"{names.TUNED}/{names.SAMPLES}", lambda run: run.tuned),
        (f"{names.ZERO_SHOT}/{names.RESULTS}", lambda run: run.zero_shot),
    ],
)
def test_a_damaged_table_is_named_when_it_is_read(tmp_path, name, read):
    run = read_run(broken(tmp_path, name, "{damaged"))
    with pytest.raises(ArtifactError, match=r"can't be read"):
        read(run)


def test_items_that_do_not_make_up_the_metrics_are_refused(tmp_path):
    folder = write_folder(run_config(tmp_path / "runs", "a"), **content())
    metrics = json.loads((folder / names.METRICS).read_text())
    (folder / names.METRICS).write_text(json.dumps({**metrics, "eval/tuned/sum": 1.0}))
    with pytest.raises(ArtifactError, match="don't make up"):
        _ = read_run(folder).tuned


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(ArtifactError, match="is not there"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="is no run"):
        read_run(tmp_path)
