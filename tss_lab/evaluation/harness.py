"""Benchmarks through lm-evaluation-harness: its official tasks and prompts, zero-shot, plain accuracy.

The only file that imports lm_eval, apart from the adapter beside it (docs/method.md, Evaluation).
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import polars as pl

from tss_lab.config import EvalConfig
from tss_lab.errors import EvaluationError
from tss_lab.evaluation.benchmarks import BENCHMARKS, display_name, local_folder, result_label, task_group
from tss_lab.evaluation.check import check_files
from tss_lab.evaluation.results import accuracies, evaluation_key, find_result
from tss_lab.runs.evaluations import write_evaluation
from tss_lab.types import EvaluationResult, FloatArray, TokenPair

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tss_lab.evaluation.tree_lm import PairScorer

log = logging.getLogger(__name__)

_GROUP = "tss_lab_items"
_METRIC = "acc"


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    config: EvalConfig,
    output: Path,
    fingerprint: str,
    score_pairs: PairScorer | None = None,
) -> EvaluationResult:
    """Accuracy of ``model`` on the configured benchmarks, with standard errors and every item.

    Args:
        model: in evaluation mode, on its device.
        output: gets ``results.json`` and ``samples.parquet``; a result there that answers the same
            question (same model, items, limit and harness) is read instead of computed.
        fingerprint: names the model's weights and tokenizer.
        score_pairs: the likelihood engine, for ``eval.engine=tree``; without it lm-eval's own HFLM runs.

    Raises EvaluationError when the items can't be had or can't be used.
    """
    known = find_result(output, config, fingerprint)
    if known is not None:
        log.info("%s: taken from %s", result_label(config), output)
        return known
    from lm_eval import evaluate as run_tasks

    begun = time.perf_counter()
    tasks = load_tasks(config)
    by_tree = score_pairs if config.engine == "tree" else None
    language_model = _language_model(model, tokenizer, config.batch_size, by_tree)
    with _quiet():
        outcome = run_tasks(language_model, tasks, limit=config.limit)
    samples = _samples(outcome["samples"], config)
    _check_against_harness(samples, outcome["results"])
    result = accuracies(samples, config)
    facts = {
        "key": evaluation_key(config, fingerprint),
        "model": fingerprint,
        "engine": config.engine if score_pairs is not None else "hf",
        "shots": 0,
        "metric": _METRIC,
        "task_versions": {task: outcome["versions"][task] for task in outcome["samples"]},
        "seconds": time.perf_counter() - begun,
    }
    write_evaluation(output, samples, result, facts)
    for score in result.benchmarks:
        log.info("%s: %.1f %% correct (standard error %.1f, %d items)",
                 score.display_name, score.accuracy.value, score.accuracy.standard_error, score.accuracy.n)  # fmt: skip
    return result


def harness_loglik(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[TokenPair]
) -> FloatArray:
    """Summed log-likelihoods of pairs of ids in nats by lm-eval's own HFLM, a pair at a time: (P,).

    With its ``softmax_dtype=float64``: its float32 log-softmax adds 1e-5 to 5e-5 nats a token of its own.
    """
    language_model = _language_model(model, tokenizer, 1, None, softmax_dtype="float64")
    requests = [(("", ""), list(pair.prompt_ids), list(pair.target_ids)) for pair in pairs]
    answers = language_model._loglikelihood_tokens(requests, disable_tqdm=True)
    return np.array([loglik for loglik, _ in answers], dtype=np.float64)


def _language_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int, score_pairs: PairScorer | None,
    **more: str,
) -> Any:  # fmt: skip
    from lm_eval.models.huggingface import HFLM

    from tss_lab.evaluation.tree_lm import TreeLM

    settings = {
        "pretrained": model,
        "tokenizer": copy.deepcopy(tokenizer),  # the harness sets a padding token on it
        "batch_size": batch_size,
        "max_length": int(getattr(model.config.get_text_config(), "max_position_embeddings", 2048)),
    }
    with _level("lm_eval.models.huggingface", logging.ERROR):  # it warns of every model handed over ready-made
        if score_pairs is not None:
            return TreeLM(score_pairs, **settings)
        return HFLM(**settings, **more)


def load_tasks(config: EvalConfig) -> Mapping[str, Any]:
    """The tasks, items included, from the Hub or from local files."""
    import datasets
    import lm_eval
    from lm_eval.tasks import TaskManager

    official = Path(str(lm_eval.__file__)).parent / "tasks"
    chosen = [BENCHMARKS[name] for name in config.benchmarks]
    folders = [str(official / benchmark.task_folder) for benchmark in chosen]
    items = local_folder(config)
    if items is not None:
        check_files(items, config)
    with tempfile.TemporaryDirectory(prefix="tss_lab-tasks-") as scratch, _without_bars():
        if items is None:
            names = [benchmark.task for benchmark in chosen]
        else:
            group = json.dumps(task_group(items, config.benchmarks, _GROUP))  # JSON is YAML
            (Path(scratch) / "group.yaml").write_text(group, encoding="utf-8")
            names, folders = [_GROUP], [*folders, scratch]
        manager = TaskManager(include_defaults=False, include_path=folders)
        try:
            loaded: Mapping[str, Any] = manager.load(names)
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            where = f"from {items}" if items else "from the Hugging Face hub"
            remedy = (
                "check that the files are in the Hub's schemas"
                if items
                else "check the network, or give a directory with the files as eval.mirror"
            )
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EvaluationError(f"can't load the benchmarks {where} ({first_line}); {remedy}") from error
    for task in loaded["tasks"].values():
        task.set_config(key="num_fewshot", value=0)
    return loaded


def _samples(samples: Mapping[str, Sequence[Mapping[str, Any]]], config: EvalConfig) -> pl.DataFrame:
    """A row an item: what it is, what the model took each choice to be worth, and whether it was right."""
    rows = []
    for task, items in samples.items():
        benchmark = next(name for name in config.benchmarks if task == name or task.startswith(f"{name}_"))
        for item in items:
            loglik_C = [float(response[0]) for response in item["filtered_resps"]]
            if not all(math.isfinite(value) for value in loglik_C):
                raise EvaluationError(
                    f"{display_name(config, benchmark)}, item {item['doc_id']}: the model gives a log-likelihood that "
                    "is not a finite number; its weights are damaged, or its precision is too low"
                )
            rows.append(
                {
                    "benchmark": benchmark,
                    "task": task,
                    "item_id": f"{task}/{item['doc_id']}/{item['doc_hash'][:12]}",
                    "correct": bool(item[_METRIC]),
                    "target": int(item["target"]),
                    "predicted": max(range(len(loglik_C)), key=loglik_C.__getitem__),
                    "num_choices": len(loglik_C),
                    "loglik": loglik_C,
                    "question": str(item["arguments"][0][0]),
                    "choices": [str(arguments[1]) for arguments in item["arguments"]],
                }
            )
    return pl.DataFrame(rows)


def _check_against_harness(samples: pl.DataFrame, results: Mapping[str, Mapping[str, Any]]) -> None:
    """The accuracy of our rows must be the one that lm-eval reports for each task."""
    for task, ours in samples.group_by("task").agg(pl.col("correct").mean()).iter_rows():
        theirs = float(results[task][f"{_METRIC},none"])
        assert math.isclose(ours, theirs, abs_tol=1e-9), f"{task}: our rows say {ours}, lm-eval says {theirs}"


@contextlib.contextmanager
def _level(name: str, level: int) -> Iterator[None]:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    """The items load in a moment; a bar for every file and subject would only scroll the screen."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the harness's bars for building and tokenising requests; the one over the requests themselves stays."""
    with contextlib.ExitStack() as stack:
        for module in ("task", "model"):
            stack.enter_context(mock.patch(f"lm_eval.api.{module}.tqdm", lambda items, **_: items))
        stack.enter_context(_level("lm_eval", logging.WARNING))
        yield
