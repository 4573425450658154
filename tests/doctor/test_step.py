"""The doctor in a run: by itself from the command line, and in its cheap form at the start of a long one."""

import json
import logging
import sys

import pytest

from tests.test_end_to_end import corpus, overrides
from tss_lab.__main__ import main
from tss_lab.cli.compose import config_of
from tss_lab.pipeline import run
from tss_lab.report.page import build_page
from tss_lab.runs import read_run

PLANTED = "which of the following planets is the closest one to the sun and has no moon at all"


@pytest.fixture
def place(tmp_path, tiny_llama_folder):
    """A corpus and a model, and a benchmark with one item that stands in the corpus' last row."""
    corpus(tmp_path)
    (tmp_path / "model").symlink_to(tiny_llama_folder)
    row = {"instruction": PLANTED.capitalize(), "input": "", "output": "Mercury it is, by far."}
    with (tmp_path / "rows.jsonl").open("a", encoding="utf-8") as rows:
        rows.write(json.dumps(row) + "\n")
    folder = tmp_path / "mirror" / "arc_challenge"
    folder.mkdir(parents=True)
    item = {"question": f"{PLANTED}?", "choices": {"text": ["Mars", "Mercury"], "label": ["A", "B"]}, "answerKey": "B"}
    (folder / "test.jsonl").write_text(json.dumps(item) + "\n", encoding="utf-8")
    return tmp_path


def asked(place, *more):
    items = ["eval=paper", "eval.benchmarks=[arc_challenge]", f"eval.mirror={place}/mirror"]
    given = [one for one in overrides(place) if one != "eval=none" and not one.startswith("dataset.held_out")]
    return [*given, *items, "run_name=a", "doctor.sample=4", *more]


def command(monkeypatch, capsys, *arguments):
    """Exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["tss_lab", *arguments])
    code = 0
    try:
        main()
    except SystemExit as stopped:
        code = stopped.code
    return code, *capsys.readouterr()


def test_by_itself_it_prints_writes_and_says_with_the_exit_code(place, monkeypatch, capsys):
    code, out, _ = command(monkeypatch, capsys, *asked(place, "stages=[doctor,report]"))
    assert code == 0
    found = read_run(place / "runs" / "a")
    by_name = {one.name: one for one in found.findings}
    assert by_name["benchmark_items"].status == "failure"
    assert by_name["evaluation_harness"].status == "ok"
    assert found.metrics["doctor/failure"] == 1
    assert all(one.title in out for one in found.findings)
    assert "drop these rows" in out
    assert found.selection is None
    checks = next(section for section in build_page(found).sections if section.anchor == "doctor")
    assert "1 failure" in checks.lead
    assert checks.parts[0].rows[0][:2] == ["benchmark items", "failure"]
    code, out, err = command(monkeypatch, capsys, *asked(place, "stages=[doctor]", "doctor.strict=true"))
    assert code == 1
    assert "benchmark items" in out
    assert "doctor.strict=true, and 1 of " in err
    assert len(read_run(place / "runs" / "a").findings) == len(found.findings)


def test_a_long_run_begins_with_what_takes_seconds(place, caplog):
    """Troubles alone are said, a line each; what an earlier command found by passes stays in the folder."""
    run(config_of(asked(place, "stages=[doctor]", "method=ppl")))
    full = {one.name for one in read_run(place / "runs" / "a").findings}
    with caplog.at_level(logging.INFO, "tss_lab.doctor"):
        run(config_of(asked(place, "stages=[likelihoods]", "method=ppl", "doctor.sample=3")))
    said = [one for one in caplog.records if one.name.startswith("tss_lab.doctor")]
    assert [(one.levelname, one.message.partition(":")[0]) for one in said] == [("ERROR", "benchmark items")]
    found = read_run(place / "runs" / "a")
    assert {one.name for one in found.findings} == full
    assert "likelihoods/pairs" in found.metrics


def test_strict_stops_a_long_run_before_it_begins(place, monkeypatch, capsys):
    code, _, err = command(monkeypatch, capsys, *asked(place, "doctor.strict=true", "stages=[likelihoods]"))
    assert (code, "doctor.strict=true" in err) == (1, True)
    found = read_run(place / "runs" / "a")
    assert "likelihoods/pairs" not in found.metrics
    assert found.record["status"].startswith("stopped: UnsoundError")


def test_it_may_be_left_out(place):
    run(config_of(asked(place, "stages=[likelihoods]", "method=ppl", "doctor.at_start=false")))
    assert read_run(place / "runs" / "a").findings == []
