"""The command line from data to page, on a tiny model with replayed alternatives, for every method."""

import json
import os
import re
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from tss_lab.__main__ import main
from tss_lab.runs import read_run

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("full", "random", "ppl", "ifd", "tss", "tss_exp", "tss_pp", "tss_pp_exp")
WORDS = ["red", "green", "blue", "cat", "mat", "Rome", "Italy", "task", "text", "one", "three", "list"]


def corpus(folder):
    """24 rows, one of them with markup, and three alternatives for each."""
    rows = [
        {"instruction": f"Name the {WORDS[n % 12]} {n}.", "input": WORDS[n % 5] if n % 3 else "",
         "output": f"{WORDS[(n * 5) % 12]} {WORDS[(n * 7) % 12]}", "kind": f"kind {n % 3}"}
        for n in range(24)
    ]  # fmt: skip
    rows[3]["output"] = "<script>alert(1)</script> & red"
    alternatives = [
        {**{key: row[key] for key in ("instruction", "input")},
         "alternatives": [f"List {WORDS[(n + k) % 12]} {k}." for k in range(3)]}
        for n, row in enumerate(rows)
    ]  # fmt: skip
    for name, lines in (("rows", rows), ("alternatives", alternatives)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_llama_folder):
    folder = tmp_path_factory.mktemp("lab")
    corpus(folder)
    (folder / "model").symlink_to(tiny_llama_folder)
    return folder


def overrides(place, *more):
    return [
        "dataset=jsonl", f"dataset.path={place}/rows.jsonl", "dataset.fields.category=kind", "dataset.held_out=4",
        f"model.path={place}/model", "generator=replay", f"generator.path={place}/alternatives.jsonl",
        "alternatives.k=3", "sft=quickstart", "sft.epochs=1", "eval=none", "scoring.self_check_pairs=2",
        f"paths.store={place}/store", f"paths.runs={place}/runs", *more,
    ]  # fmt: skip


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["tss_lab", *arguments])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    main()


def newest(place, method):
    return max((place / "runs").glob(f"*-{method}-*"), key=lambda folder: folder.stat().st_mtime)


def test_a_sweep_over_all_methods_scores_each_pair_once(place, monkeypatch):
    """Eight methods, one store: no pair stands in it twice, and every run leaves all of its files."""
    command(
        monkeypatch,
        "-m",
        *overrides(
            place,
            "rho=0.5",
            f"method={','.join(METHODS)}",
            "stages=[dataset,alternatives,likelihoods,scores,selection,report]",
        ),
    )
    stored = pl.read_parquet(list((place / "store" / "likelihoods").glob("*/part-*.parquet")))
    assert stored["pair_id"].is_unique().all()
    # 20 examples, each under 1 + 3 prompts and unconditionally.
    kinds = dict(stored.group_by("prompt_kind").len().iter_rows())
    assert kinds["true"] == 20
    assert kinds["unconditional"] <= 20  # equal outputs share one
    for method in METHODS:
        run = newest(place, method)
        scores = pl.read_parquet(run / "scores.parquet")
        assert scores.columns == ["example_id", "score", "rank", "kept", "weight"]
        assert scores["kept"].sum() == (20 if method == "full" else 10)
        assert scores.filter("kept")["weight"].mean() == pytest.approx(1.0)
        selected = [json.loads(line) for line in (run / "selected.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [row["example_id"] for row in selected] == scores.filter("kept").sort("rank")["example_id"].to_list()
        assert list(selected[0]) == ["instruction", "input", "output", "weight", "score", "example_id", "kind"]
        lines = (run / "scored.jsonl").read_text(encoding="utf-8").splitlines()
        scored = [json.loads(line) for line in lines]
        assert [row["row"] for row in scored] == list(range(1, 25))
        read = read_run(run).scored
        assert [(one.row, one.example_id, one.kept) for one in read] == [
            (row["row"], row["example_id"], row["kept"]) for row in scored
        ]
        assert read[5].columns["kind"] == "kind 2"
        best = next(row["row"] for row in scored if row["rank"] == 0)
        assert f"row {best} · kind" in (run / "report" / "index.html").read_text(encoding="utf-8")
        assert Counter(row["set_aside"] for row in scored) == {None: 20, "held out": 4}
        assert {row["example_id"] for row in scored if row["kept"]} == {row["example_id"] for row in selected}
        assert all(row["kind"].startswith("kind ") for row in scored)
        audit = read_run(run).audit
        assert (audit.rows, audit.kept) == (20, scores["kept"].sum())
        assert bool(audit.shifts) == (method != "full")
        assert f"method={method}" in (run / "README.md").read_text(encoding="utf-8").replace("\\", "")
        assert json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] == "finished"
        assert yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["method"]["name"] == method


def test_two_processes_go_through_all_steps_together(place, tmp_path):
    """Held-out measures after a distributed training, and again when the store holds everything."""
    settings = overrides(
        place, "method=tss_pp", "rho=0.5", "run_name=both", "trainer.strategy=ddp", "trainer.devices=2",
        f"paths.store={tmp_path}/store", f"paths.runs={tmp_path}/runs",
    )  # fmt: skip
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "tss_lab"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    measured = []
    for _ in range(2):
        done = subprocess.run([*torchrun, *settings], env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-3000:]
        measured.append(json.loads((tmp_path / "runs" / "both" / "metrics.json").read_text(encoding="utf-8")))
    before, after = measured
    assert before["held_out/nll/after"] == after["held_out/nll/after"] != before["held_out/nll/before"]
    assert before["likelihoods/pairs_computed"] > 0 == after["likelihoods/pairs_computed"]


def test_scores_are_the_formula_of_the_runs_own_table(place, monkeypatch):
    """Eq. 1 recomputed with numpy from the likelihoods that the run wrote."""
    command(monkeypatch, *overrides(place, "method=tss", "stages=[alternatives,likelihoods,scores,selection]"))
    run = newest(place, "tss")
    table = pl.read_parquet(run / "likelihoods.parquet")
    assert table.columns == [
        "example_id",
        "prompt_kind",
        "alternative_index",
        "loglik",
        "n_target_tokens",
        "n_prompt_tokens",
        "truncated",
    ]
    score = dict(pl.read_parquet(run / "scores.parquet").select("example_id", "score").iter_rows())
    for (example_id,), rows in table.group_by("example_id"):
        true = rows.filter(pl.col("prompt_kind") == "true")["loglik"].item()
        others = rows.filter(pl.col("prompt_kind") == "alternative")["loglik"].to_numpy()
        assert score[example_id] == pytest.approx(true - np.log(np.mean(np.exp(others))), abs=1e-9)


def test_from_data_to_page(place, monkeypatch, capsys):
    """Tuning, evaluation on demonstration items, held-out measures, page; then again from what is there."""
    settings = overrides(place, "method=tss_pp_exp", "rho=0.5", "eval=mini", "eval.limit=3", "run_name=whole")
    command(monkeypatch, *settings)
    run = place / "runs" / "whole"
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    for name in (
        "sft/loss_last",
        "eval/zero_shot/sum",
        "eval/tuned/sum",
        "held_out/sensitivity/difference",
        "held_out/nll/after",
    ):
        assert name in metrics
    held_out = pl.read_parquet(run / "eval" / "held_out.parquet")
    nll = -held_out["loglik_after"].sum() / held_out["n_target_tokens"].sum()
    assert nll == pytest.approx(metrics["held_out/nll/after"])
    assert (held_out["tss_after"] - held_out["tss_before"]).mean() == pytest.approx(
        metrics["held_out/sensitivity/difference"]
    )
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "demonstration items" in page
    out, error = capsys.readouterr()
    assert "page:" in out
    steps = re.findall(r"step (\d+) of (\d+): loss \d", error)  # no terminal: lines in place of a bar
    assert steps[0][0] == "1"
    assert steps[-1][0] == steps[-1][1]
    assert "it/s" not in error
    weights = sorted((run / "model").glob("*.safetensors"))
    assert weights
    before = [path.stat().st_mtime_ns for path in weights]
    command(monkeypatch, *settings)
    assert [path.stat().st_mtime_ns for path in weights] == before
    command(monkeypatch, *settings, "stages=[report]")
    kept = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert {name for name in metrics if not name.startswith("cost/")} <= set(kept)
    assert kept["held_out/nll/after"] == metrics["held_out/nll/after"]
    again = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert re.findall("<h2[^>]*>([^<]*)", again) == re.findall("<h2[^>]*>([^<]*)", page)


WRONG = [
    (["stages=[selection]", "alternatives.max_words=24"], "add alternatives to stages"),
    (["stages=[alternatives,selection]", "scoring.max_length=77"], "add likelihoods to stages"),
    (["dataset.fields.output=answer"], "answer"),
    (["generator.path=nowhere.jsonl"], "nowhere.jsonl"),
    (["trainer=gpu"], "gpu"),
    (["eval=paper", "eval.mirror=nowhere"], "nowhere"),
]


@pytest.mark.parametrize(("more", "said"), WRONG, ids=[words[0][0] for words in WRONG])
def test_what_cannot_run_says_why(place, monkeypatch, capsys, more, said):
    with pytest.raises(SystemExit) as stopped:
        command(monkeypatch, *overrides(place, "run_name=wrong", *more))
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said in error.strip().splitlines()[-1]
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"instruction": "Do.", "input": "x"}', "output"),
        ('{"instruction": "Do.", "input": "x", "output": 7}', "output"),
        ("", "no usable row"),
    ],
    ids=["no output", "wrong type", "empty"],
)
def test_bad_rows_are_named(place, monkeypatch, capsys, tmp_path, row, said):
    (tmp_path / "bad.jsonl").write_text(row and row + "\n", encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        command(
            monkeypatch,
            *overrides(place, f"dataset.path={tmp_path}/bad.jsonl", "dataset.fields.category=null", "run_name=wrong"),
        )
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_the_documented_method_and_chooser_of_ones_own(place, monkeypatch, tmp_path):
    """The classes and yamls of docs/own_data_and_models.md, outside the package, with nothing else to do."""
    text = (ROOT / "docs" / "own_data_and_models.md").read_text(encoding="utf-8")
    for path, block in re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", text, re.DOTALL):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(block, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    stages = "stages=[dataset,alternatives,likelihoods,scores,selection]"
    settings = overrides(place, "method=margin", "choose=by_category", "rho=0.5", "run_name=own", stages)
    command(monkeypatch, "--config-dir", str(tmp_path / "my_conf"), *settings)
    run = read_run(place / "runs" / "own")
    assert len(set(run.selection.score_N.tolist())) > 10
    kept = Counter(run.examples[n].category for n in np.flatnonzero(run.selection.kept_N))
    every = Counter(example.category for example in run.examples)
    assert kept == {category: round(0.5 * count) for category, count in every.items()}


def refused(monkeypatch, capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        command(monkeypatch, *arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_a_run_never_takes_what_belongs_to_another(place, monkeypatch, capsys):
    """Another method, another share, other data: refused under the same name, and nothing was written."""
    mine = overrides(place, "run_name=taken", "method=random", "rho=0.5")
    command(monkeypatch, *mine)
    folder = place / "runs" / "taken"
    files = [path for path in folder.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files if path.name != ".lock"}
    other = overrides(place, "run_name=taken", "method=ppl", "rho=0.2", "stages=[evaluation,report]")
    assert "holds another run: rho is 0.5 there and 0.2 here" in refused(monkeypatch, capsys, *other)
    rows = place / "rows.jsonl"
    text = rows.read_text(encoding="utf-8")
    rows.write_text(text.replace("Name the", "Call the"), encoding="utf-8")
    try:
        assert "data was another" in refused(monkeypatch, capsys, *mine, "stages=[evaluation,report]")
    finally:
        rows.write_text(text, encoding="utf-8")
    unchanged = {"run.json", "config.yaml", "run.log"}  # say that the command was tried
    assert {path for path, content in before.items() if path.read_bytes() != content} <= {
        folder / name for name in unchanged
    }


def test_an_evaluation_by_itself_takes_this_runs_model(place, monkeypatch):
    """With the training's record: found by its identity. Without: the untuned model alone."""
    mine = overrides(place, "run_name=later", "method=ppl", "rho=0.5")
    command(monkeypatch, *mine, "stages=[evaluation,report]")
    assert "held_out/nll/after" not in read_run(place / "runs" / "later").metrics
    command(monkeypatch, *mine, "stages=[dataset,likelihoods,scores,selection,sft]")
    command(monkeypatch, *mine, "stages=[evaluation,report]")
    run = read_run(place / "runs" / "later")
    assert run.metrics["held_out/nll/after"] != run.metrics["held_out/nll/before"]
    assert run.training.reused


def test_the_notebook_reads_a_run(place, monkeypatch, capsys):
    command(
        monkeypatch,
        *overrides(place, "method=tss", "run_name=noted", "stages=[dataset,alternatives,likelihoods,scores,selection]"),
    )
    notebook = Path(__file__).parent.parent / "notebooks" / "read_a_run.py"
    monkeypatch.setattr(sys, "argv", [str(notebook), str(place / "runs" / "noted")])
    runpy.run_path(str(notebook))
    assert "selection/kept" in capsys.readouterr().out
