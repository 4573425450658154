"""Sweeps: checked as a whole before the first job, told about at the end, and no job in another's way."""

import json
import pickle
import sys

import pytest

from tss_lab.__main__ import Task, main
from tss_lab.cli.sweep import Outcome, how_to_compare, varying
from tss_lab.errors import DataError


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def done(monkeypatch):
    """The runs that were begun, by name; those of seed 1 find no data, those of seed 2 a fault of ours."""
    begun = {}

    def run(config, overrides=()):
        begun[config.run_name] = config
        if config.seed == 1:
            raise DataError("no row; give some")
        if config.seed == 2:
            raise TypeError("ours")
        folder = config.paths.runs / config.run_name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
        (folder / "metrics.json").write_text(json.dumps({"selection/kept": 7, "eval/tuned/sum": 129.876}))

    monkeypatch.setattr("tss_lab.pipeline.run", run)
    return begun


def sweep(monkeypatch, capsys, *arguments):
    """Exit code, standard output and standard error of ``tss_lab`` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["tss_lab", *arguments, "experiment_name=e", "method=random"])
    code = 0
    try:
        main()
    except SystemExit as stopped:
        code = stopped.code
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "rho=0.2,2"], "rho=2 can't be used"),
        (["-m", "rho=0.2,0.3", "dataset=starter,nothing"], "dataset=nothing is not there"),
        (["-m", "rho=0.2,0.3", "run_name=mine"], "let it differ: 'run_name=mine-${rho}'"),
        (["-m", "rho=0.2,["], "close its brackets"),
        (["-m", "rho=0.2,0.3", "hydra.sweep.dir=/dev/null/x"], "can't write to hydra.sweep.dir=/dev/null/x"),
        (["-m", "rho=0.2,0.3", "paths.runs=/dev/null/x"], "can't write to paths.runs=/dev/null/x"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_nothing_begins_before_every_job_is_right(place, done, monkeypatch, capsys, arguments, said):
    code, _, error = sweep(monkeypatch, capsys, *arguments)
    assert code == 2
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not done
    assert not list(place.iterdir())


def test_a_sweep_is_told_about(place, done, monkeypatch, capsys):
    """Flags may stand among the settings; the table has the run's own numbers, and the next command."""
    code, printed, error = sweep(monkeypatch, capsys, "rho=0.1,0.2", "-m", "seed=0")
    assert code == 0
    assert list(done) == ["e-random-rho0.1-seed0", "e-random-rho0.2-seed0"]
    assert "2 jobs, all checked" in error
    assert "job 2 of 2 (rho=0.2)" in error
    rows = [line.split() for line in printed.splitlines() if "finished" in line]
    assert [row[:5] for row in rows] == [
        ["1", "e-random-rho0.1-seed0", "finished", "129.9", "7"],
        ["2", "e-random-rho0.2-seed0", "finished", "129.9", "7"],
    ]
    assert "compare them: python -m tss_lab.report runs/e-random-rho0.1-seed0 runs/e-random-rho0.2-seed0\n" in printed


def test_a_name_that_differs(place, done, monkeypatch, capsys):
    """What the refusal of a fixed name proposes, and what Hydra says of a job."""
    assert sweep(monkeypatch, capsys, "-m", "rho=0.1,0.2", "run_name=mine-${rho}")[0] == 0
    assert sweep(monkeypatch, capsys, "-m", "rho=0.1,0.2", "run_name=job-${hydra:job.num}")[0] == 0
    assert list(done) == ["mine-0.1", "mine-0.2", "job-0", "job-1"]


@pytest.mark.parametrize(("seeds", "code"), [("1,0", 2), ("2,1,0", 1)])
def test_one_job_keeps_no_other_from_running(place, done, monkeypatch, capsys, seeds, code):
    found, printed, error = sweep(monkeypatch, capsys, "-m", f"seed={seeds}")
    assert found == code
    assert len(done) == len(seeds.split(","))
    assert "e-random-rho0.15-seed0" in next(line for line in printed.splitlines() if "finished" in line)
    assert "e-random-rho0.15-seed1" in next(line for line in printed.splitlines() if "stopped" in line)
    assert "tss_lab: [seed=1] no row; give some" in error
    assert ("Traceback" in error) == ("tss_lab: [seed=2] TypeError: ours" in error) == (code == 1)


def test_the_same_run_is_done_once(place, done, monkeypatch, capsys):
    """rho doesn't apply to full, so a sweep over methods and rho asks for it several times."""
    monkeypatch.setattr(sys, "argv", ["tss_lab", "-m", "method=random,full", "rho=0.1,0.2", "experiment_name=e"])
    main()
    assert list(done) == ["e-random-rho0.1-seed0", "e-random-rho0.2-seed0", "e-full-seed0"]
    assert "same run" in capsys.readouterr().out


def test_jobs_that_differ_in_stages_alone_share_a_folder(place, done, monkeypatch, capsys):
    code, *_ = sweep(monkeypatch, capsys, "-m", "stages=[dataset],[scores]", "seed=1")
    assert code == 2  # by the run itself, not by the plan
    assert list(done) == ["e-random-rho0.15-seed1"]


def test_what_another_process_gets_can_travel(place):
    """Launchers pickle the task and its answer."""
    task = Task((), sweeps=True)
    assert pickle.loads(pickle.dumps(task)) == task  # noqa: S301
    outcome = Outcome(place, "stopped", 1.0, "why")
    assert pickle.loads(pickle.dumps(outcome)) == outcome  # noqa: S301


def test_what_varies():
    assert varying([["rho=0.1", "a=1"], ["rho=0.2", "a=1"]]) == ["rho=0.1", "rho=0.2"]
    assert varying([["a=1"]]) == [""]


def test_many_folders_are_one_pattern(place):
    """Only where the pattern stands for just the sweep's own runs."""
    folders = [place / "runs" / f"e-random-rho0.{n}-seed0" for n in range(1, 10)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "run.json").touch()
    outcomes = [Outcome(folder, "finished", 1.0) for folder in folders]
    assert how_to_compare(outcomes).endswith("tss_lab.report runs/e-random-rho0.*")
    assert how_to_compare(outcomes[:-1]).endswith("rho0.7-seed0 runs/e-random-rho0.8-seed0")
    assert how_to_compare(outcomes[:1]) == ""
