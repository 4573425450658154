"""Made-up settings and run folders, written as the pipeline writes them."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tss_lab.config import RunConfig
from tss_lab.runs import names, open_folder
from tss_lab.runs.evaluations import flat_metrics, summarise, write_evaluation
from tss_lab.runs.likelihoods import COLUMNS
from tss_lab.runs.rows import selected_lines
from tss_lab.runs.tables import from_alternatives, from_examples, from_selection
from tss_lab.types import Alternative, EvaluationResult, Example, HeldOutMeasure, Likelihoods, Selection, SetAside

CONF = Path(__file__).resolve().parents[1] / "conf"
TITLES = {
    "arc_challenge": "ARC-Challenge", "mmlu": "MMLU", "hellaswag": "HellaSwag", "truthfulqa_mc1": "TruthfulQA-MC1",
}  # fmt: skip


@functools.lru_cache(maxsize=64)
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plain = OmegaConf.to_container(compose("config", list(overrides)), resolve=True)
    assert isinstance(plain, dict)
    return {str(name): value for name, value in plain.items()}


def run_config(runs: Path, name: str, *overrides: str) -> RunConfig:
    """The settings of a run called ``name`` below ``runs``, as the command line composes them."""
    plain = _composed(overrides)
    paths = {"store": str(runs.parent / "store"), "runs": str(runs), "cache": str(runs.parent / "cache")}
    experiment = plain["experiment_name"] or "made up"
    return RunConfig.model_validate({**plain, "paths": paths, "run_name": name, "experiment_name": experiment})


def write_folder(
    config: RunConfig, *, examples: Sequence[Example] = (), held_out_examples: Sequence[Example] = (),
    num_target_tokens: Mapping[str, int] | None = None, alternatives: Sequence[Alternative] = (),
    likelihoods: Likelihoods | None = None, selection: Selection | None = None, set_aside: Sequence[SetAside] = (),
    curve: Sequence[tuple[int, float]] = (), held_out_loss: Sequence[tuple[int, float]] = (),
    zero_shot: EvaluationResult | None = None, tuned: EvaluationResult | None = None,
    held_out: Sequence[HeldOutMeasure] = (), held_out_table: pl.DataFrame | None = None,
    metrics: Mapping[str, Any] | None = None, **facts: Any,
) -> Path:  # fmt: skip
    """A finished run with what is given; ``facts`` go to run.json, ``metrics`` to metrics.json under their names."""
    with open_folder(config) as folder:
        with folder.step("dataset") as step:
            folder.claim("data", "made up")
            step.write(names.EXAMPLES, from_examples(examples, held_out_examples, num_target_tokens))
            step.put_aside(set_aside)
        with folder.step("selection") as step:
            step.write(names.ALTERNATIVES, from_alternatives(alternatives))
            if likelihoods is not None:
                step.write(names.LIKELIHOODS, likelihood_frame(likelihoods))
            if selection is not None:
                step.write(names.SCORES, from_selection(selection))
                step.write(names.SELECTED, selected_lines(selection, examples))
        with folder.step("evaluation") as step:
            if curve:
                step.record(sft={"reused": False})
                points = [{"step": number, "loss": loss} for number, loss in curve]
                losses = [{"step": number, "held_out_nll": loss} for number, loss in held_out_loss]
                record = {"complete": True, "curve": points, "held_out": losses}
                step.write(names.TRAINING, json.dumps(record))
            for which, place, result in (("zero_shot", names.ZERO_SHOT, zero_shot), ("tuned", names.TUNED, tuned)):
                if result is not None:
                    write_result(folder.path / place, result)
                    step.measure(f"eval/{which}", flat_metrics(result))
            if held_out_table is not None:
                step.write(names.HELD_OUT, held_out_table)
            step.record(held_out=[asdict(one) for one in held_out], **facts)
            for one in held_out:
                step.measure(f"held_out/{one.name}", one.figures())
            step.measure("", metrics or {})
    return folder.path


def result_of(correct: Mapping[str, Sequence[bool]], *, label: str = "the paper's benchmarks", demo: bool = False):
    """An evaluation in which each benchmark's items are right or wrong as given."""
    rows = [
        {"benchmark": name, "item_id": f"{name}/{index}", "correct": bool(right), "num_choices": 4}
        for name, values in correct.items()
        for index, right in enumerate(values)
    ]
    titles = {name: f"{TITLES[name]}-style demonstration items" if demo else TITLES[name] for name in correct}
    count = len(titles)
    total = f"Sum over demonstration items of {count} kinds" if demo else f"SUM of {count} benchmarks"
    return summarise(pl.DataFrame(rows), titles, label=label, total_name=total, is_demonstration=demo)


def write_result(folder: Path, result: EvaluationResult, **facts: Any) -> None:
    samples = pl.DataFrame({
        "benchmark": result.item_benchmark_N.astype(str), "item_id": result.item_id_N.astype(str),
        "correct": result.correct_N,
    }).with_columns(num_choices=pl.lit(4))  # fmt: skip
    asked = {"key": "k", "model": "m", "engine": "tree", "shots": 0, "metric": "acc"}
    versions = dict.fromkeys((score.name for score in result.benchmarks), 1.0)
    write_evaluation(folder, samples, result, {**asked, "task_versions": versions, **facts})


def likelihood_frame(likelihoods: Likelihoods) -> pl.DataFrame:
    """The public table of dense likelihoods."""
    rows = []
    for n, example_id in enumerate(likelihoods.example_id_N):
        shared = {"example_id": str(example_id), "n_target_tokens": int(likelihoods.num_target_tokens_N[n]),
                  "n_prompt_tokens": 9, "truncated": False}  # fmt: skip
        rows.append({**shared, "prompt_kind": "true", "alternative_index": -1,
                     "loglik": float(likelihoods.true_loglik_N[n])})  # fmt: skip
        rows += [
            {**shared, "prompt_kind": "alternative", "alternative_index": k,
             "loglik": float(likelihoods.alternative_loglik_NK[n, k])}
            for k in range(int(likelihoods.num_alternatives_N[n]))
        ]  # fmt: skip
    return pl.DataFrame(rows, schema=COLUMNS)
