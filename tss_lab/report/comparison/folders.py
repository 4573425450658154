"""Run folders as they lie on disk, read without the pipeline: what was set, and what came of it.

A folder that can't be used is not an error: it is set aside with its reason.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from tss_lab.report.comparison.names import benchmark_title, is_demonstration
from tss_lab.report.seeds import HeldOutLosses
from tss_lab.report.numbers import total_name
from tss_lab.store import fingerprint
from tss_lab.types import BenchmarkScore, Estimate, EvaluationResult

FORMAT_VERSION = 1
"""Of ``run.json`` and ``eval/results.json``; newer ones are set aside."""
COMPARISON = "comparison.json"
MEASURES = ("nll", "sensitivity")


@dataclass(frozen=True)
class Run:
    """One finished run. ``tuned`` and ``zero_shot`` are None where it evaluated nothing of the kind."""

    folder: Path
    settings: Mapping[str, Any]
    record: Mapping[str, Any]
    tuned: EvaluationResult | None
    zero_shot: Mapping[str, Estimate] | None
    """Benchmark, and ``sum`` -> accuracy of the untuned model; its items lie in the store, not here."""
    held_out: Mapping[str, tuple[Estimate, Estimate | None]]
    """``nll``, ``sensitivity`` -> before and after tuning."""
    losses: HeldOutLosses | None
    """The tuned model's, of each held-out example."""
    num_kept: int | None
    question: Mapping[str, Any]
    """What determines the evaluation's items and numbers, beside the model; empty without evaluation."""

    @property
    def name(self) -> str:
        return str(self.settings["run_name"])

    @property
    def model(self) -> str:
        return str(self.settings["model"]["name"])

    @property
    def dataset(self) -> str:
        return str(self.settings["dataset"]["name"])

    @property
    def method(self) -> str:
        return str(self.settings["method"]["name"])

    @property
    def rho(self) -> float:
        """The kept share; ρ doesn't apply to ``full``, which is all of the data."""
        return 1.0 if self.method == "full" else float(self.settings["rho"])

    @property
    def seed(self) -> int:
        return int(self.settings["seed"])

    @property
    def budget(self) -> str:
        return "examples" if self.method == "full" else str(self.settings["budget"]["kind"])

    @property
    def is_tuned(self) -> bool:
        return self.tuned is not None or any(after is not None for _, after in self.held_out.values())


@dataclass(frozen=True)
class Unused:
    """A folder that isn't compared, and why."""

    folder: Path
    reason: str

    @property
    def place(self) -> str:
        """The folder by its last two names."""
        return short_path(self.folder)


def short_path(folder: Path) -> str:
    """A folder by its last two names, so that pages don't tell where on a machine it lies."""
    return "/".join(folder.parts[-2:])


class _UnusableError(Exception):
    """Carries the reason up to where the folder is set aside."""


def read_runs(folders: Iterable[Path]) -> tuple[list[Run], list[Unused]]:
    """Every folder as a run or as set aside, in the order given; one that is named twice counts once."""
    runs: list[Run] = []
    unused: list[Unused] = []
    for folder in dict.fromkeys(Path(folder).absolute() for folder in folders):
        if (folder / COMPARISON).exists() and not (folder / "run.json").exists():
            continue  # what this command wrote itself
        try:
            runs.append(_read(folder))
        except _UnusableError as reason:
            unused.append(Unused(folder, str(reason)))
    return runs, unused


def _read(folder: Path) -> Run:
    if not folder.is_dir():
        raise _UnusableError("is not a folder" if folder.exists() else "is not there")
    if not (folder / "config.yaml").exists() or not (folder / "run.json").exists():
        raise _UnusableError("is no run: it has no config.yaml and run.json")
    settings, record = _mapping(folder / "config.yaml"), _mapping(folder / "run.json")
    _check_settings(settings)
    version = record.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise _UnusableError(f"run.json has format {version}, this version reads {FORMAT_VERSION}; update tss_lab")
    status = str(record.get("status", "unknown"))
    if status != "finished":
        raise _UnusableError(f"is not finished ({status})")
    metrics = _mapping(folder / "metrics.json") if (folder / "metrics.json").exists() else {}
    if not all(isinstance(value, (int, float)) for value in metrics.values()):
        raise _UnusableError("metrics.json holds something that is no number")
    tuned, question = _tuned(folder, settings, metrics)
    zero_shot = _estimates(metrics, "eval/zero_shot", settings["eval"]["benchmarks"])
    held_out = _held_out(metrics)
    losses = _losses(folder, held_out)
    if tuned is not None:
        question |= _asked(settings, record, {score.name: score.accuracy.n for score in tuned.benchmarks})
    elif zero_shot is not None:
        counts = {name: accuracy.n for name, accuracy in zero_shot.items() if name != "sum"}
        question = _asked(settings, record, counts)
    if tuned is None and zero_shot is None and not held_out:
        stages = ", ".join(map(str, settings.get("stages") or []))
        raise _UnusableError(f"holds no evaluation (stages: {stages}); run it again with evaluation among its stages")
    if not isinstance(record.get("model"), dict):
        raise _UnusableError("run.json doesn't say which model's weights it used")
    kept = metrics.get("selection/kept")
    return Run(
        folder, settings, record, tuned, zero_shot, held_out, losses, None if kept is None else int(kept), question
    )


def _mapping(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        content = yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)
    except (ValueError, yaml.YAMLError) as error:
        raise _UnusableError(f"{path.name} can't be read ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict):
        raise _UnusableError(f"{path.name} doesn't hold settings by name")
    return content


def _check_settings(settings: Mapping[str, Any]) -> None:
    """The settings that everything else here relies on."""
    for group in ("model", "dataset", "method", "budget", "eval", "sft", "scoring"):
        if not isinstance(settings.get(group), dict):
            raise _UnusableError(f"config.yaml is none of this lab's: it has no {group}")
    for group, name in (("model", "name"), ("dataset", "name"), ("method", "name"), ("budget", "kind")):
        if not isinstance(settings[group].get(name), str):
            raise _UnusableError(f"config.yaml is none of this lab's: it has no {group}.{name}")
    rho, seed = settings.get("rho"), settings.get("seed")
    if not isinstance(rho, (int, float)) or not isinstance(seed, int) or not isinstance(settings.get("run_name"), str):
        raise _UnusableError("config.yaml is none of this lab's: rho, seed or run_name is missing")
    names = settings["eval"].get("benchmarks")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _UnusableError("config.yaml is none of this lab's: it has no eval.benchmarks")


def _tuned(
    folder: Path, settings: Mapping[str, Any], metrics: Mapping[str, Any]
) -> tuple[EvaluationResult | None, dict[str, Any]]:
    """The tuned model's items, as long as they are those that the run's own metrics speak of."""
    if "eval/tuned/sum" not in metrics:
        return None, {}
    results_path, samples_path = folder / "eval" / "results.json", folder / "eval" / "samples.parquet"
    if not results_path.exists() or not samples_path.exists():
        raise _UnusableError("has lost the items of its evaluation (eval/); run its evaluation again")
    content = _mapping(results_path)
    if content.get("format_version", math.inf) > FORMAT_VERSION:
        raise _UnusableError("eval/results.json was written by a newer version; update tss_lab")
    try:
        samples = pl.read_parquet(samples_path)
        result = _result(samples, settings["eval"], str(content.get("label", "")))
    except (OSError, pl.exceptions.PolarsError, KeyError) as error:
        raise _UnusableError(f"eval/samples.parquet can't be read ({str(error).splitlines()[0]})") from error
    if not math.isclose(result.total.value, float(metrics["eval/tuned/sum"]), abs_tol=1e-6):
        raise _UnusableError("the items in eval/ don't add up to the run's metrics.json; run its evaluation again")
    items = fingerprint({"items": sorted(map(str, result.item_id_N))})
    facts = {name: content.get(name) for name in ("label", "shots", "metric", "task_versions")}
    return result, {"items": items, **facts}


def _losses(folder: Path, held_out: Mapping[str, tuple[Estimate, Estimate | None]]) -> HeldOutLosses | None:
    """The tuned model's loss of each held-out example, as long as they make up what the metrics say."""
    after = held_out["nll"][1] if "nll" in held_out else None
    if after is None:
        return None
    path = folder / "eval" / "held_out.parquet"
    if not path.exists():
        raise _UnusableError("has lost its held-out examples (eval/held_out.parquet); run its evaluation again")
    try:
        table = pl.read_parquet(path, columns=["example_id", "n_target_tokens", "loglik_after"])
        losses = HeldOutLosses(
            table["example_id"].to_numpy().astype(object),
            table["n_target_tokens"].to_numpy(),
            -table["loglik_after"].cast(pl.Float64).to_numpy(),
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _UnusableError(f"eval/held_out.parquet can't be read ({str(error).splitlines()[0]})") from error
    if not math.isclose(Estimate.of_ratio(losses.nll_N, losses.num_tokens_N).value, after.value, abs_tol=1e-6):
        raise _UnusableError(
            "the losses in eval/held_out.parquet don't make up the run's metrics.json; run its evaluation again"
        )
    return losses


def _asked(settings: Mapping[str, Any], record: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
    """What an evaluation was asked, tuned model or not; with the number of items of each benchmark."""
    config = settings["eval"]
    return {
        "eval.name": config.get("name"),
        "eval.limit": config.get("limit"),
        "eval.engine": config.get("engine"),
        "eval.benchmarks": sorted(config["benchmarks"]),
        "lm-eval": (record.get("versions") or {}).get("lm-eval"),
        "number of items": " + ".join(str(counts[name]) for name in sorted(counts)),
    }


def _result(samples: pl.DataFrame, config: Mapping[str, Any], label: str) -> EvaluationResult:
    """As the evaluation itself sums its items up: means over items, and the sum of the benchmarks."""
    scores = []
    for name in config["benchmarks"]:
        rows = samples.filter(pl.col("benchmark") == name)
        if not len(rows):
            raise _UnusableError(f"eval/samples.parquet holds no item of {name}")
        accuracy = Estimate.of_mean(100.0 * rows["correct"].to_numpy().astype(np.float64))
        scores.append(BenchmarkScore(name, benchmark_title(name, config), accuracy))
    error = math.sqrt(sum(score.accuracy.standard_error**2 for score in scores))
    total = Estimate(sum(s.accuracy.value for s in scores), error, sum(s.accuracy.n for s in scores))
    return EvaluationResult(
        label, total_name(len(scores), is_demonstration(config)), tuple(scores), total,
        samples["item_id"].to_numpy().astype(object), samples["benchmark"].to_numpy().astype(object),
        samples["correct"].to_numpy().astype(np.bool_),
    )  # fmt: skip


def _estimates(metrics: Mapping[str, Any], prefix: str, names: Iterable[str]) -> dict[str, Estimate] | None:
    if f"{prefix}/sum" not in metrics:
        return None
    wanted = [name for name in (*names, "sum") if f"{prefix}/{name}" in metrics]
    return {
        name: Estimate(
            float(metrics[f"{prefix}/{name}"]),
            float(metrics.get(f"{prefix}/{name}_stderr", math.nan)),
            int(metrics.get(f"{prefix}/{name}_items", 0)),
        )
        for name in wanted
    }


def _held_out(metrics: Mapping[str, Any]) -> dict[str, tuple[Estimate, Estimate | None]]:
    count = int(metrics.get("dataset/held_out", 0))
    found: dict[str, tuple[Estimate, Estimate | None]] = {}
    for name in MEASURES:
        both = [
            Estimate(
                float(metrics[f"held_out/{name}/{when}"]),
                float(metrics.get(f"held_out/{name}/{when}_stderr", math.nan)),
                count,
            )
            if f"held_out/{name}/{when}" in metrics
            else None
            for when in ("before", "after")
        ]
        if both[0] is not None:
            found[name] = (both[0], both[1])
    return found
