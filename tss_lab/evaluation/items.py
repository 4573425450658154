"""The benchmarks' items as texts, for whoever looks for them elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tss_lab.config import EvalConfig
from tss_lab.evaluation.benchmarks import BENCHMARKS, display_name, local_files, local_folder
from tss_lab.evaluation.check import check_files


@dataclass(frozen=True, slots=True)
class BenchmarkItem:
    """One item: which it is, its question, and its choices."""

    benchmark: str
    """What pages call the benchmark."""
    place: str
    """The task and the item's number in it, from 1."""
    question: str
    choices: tuple[str, ...]


def read_items(config: EvalConfig) -> list[BenchmarkItem]:
    """All items of an evaluation; those of the Hub are fetched by lm-eval, which keeps them for the evaluation.

    Raises EvaluationError when they can't be had or can't be used.
    """
    found = []
    for name, task, rows in _rows(config):
        of_task = (_texts(name, row) for row in islice(rows, config.limit))
        title = display_name(config, name)
        found += [
            BenchmarkItem(title, f"{task}, row {number}", question.strip(), tuple(choices))
            for number, (question, choices) in enumerate(of_task, start=1)
        ]
    return found


def _rows(config: EvalConfig) -> Iterator[tuple[str, str, Iterator[Mapping[str, Any]]]]:
    """(benchmark, task, its rows in the Hub's schema)."""
    folder = local_folder(config)
    if folder is None:
        from tss_lab.evaluation.harness import load_tasks

        loaded = load_tasks(config)["tasks"]
        for name in config.benchmarks:
            split = next(iter(BENCHMARKS[name].files))
            for task in loaded:
                if task == name or task.startswith(f"{name}_"):
                    yield name, task, iter(loaded[task].dataset[split])
        return
    check_files(folder, config)
    for name in config.benchmarks:
        for task, files in local_files(folder, name).items():
            with next(iter(files.values())).open(encoding="utf-8-sig", newline="\n") as lines:
                yield name, task, (json.loads(line) for line in lines if not line.isspace())


def _texts(name: str, row: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Question and choices of a row of this benchmark."""
    if name == "arc_challenge":
        return row["question"], row["choices"]["text"]
    if name == "mmlu":
        return row["question"], row["choices"]
    if name == "hellaswag":
        return f"{row['ctx_a']} {row['ctx_b']}", row["endings"]
    return row["question"], row["mc1_targets"]["choices"]
