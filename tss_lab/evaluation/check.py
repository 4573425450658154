"""Found out before hours of work: is every benchmark asked for there, complete, and readable to its last row?"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from tss_lab.config import EvalConfig
from tss_lab.errors import EvaluationError
from tss_lab.evaluation.benchmarks import BENCHMARKS, MINI_FOLDER, Benchmark, local_files, local_folder, without

_HUB_SECONDS = 10.0  # for the Hub to say that a data set is there
_MMLU_CHOICES = 4


def check_benchmarks(config: EvalConfig) -> dict[str, int]:
    """Items of each benchmark under ``config.limit``, as far as known without downloading; {} for ``eval=none``.

    Local files are read to the last row. Of the Hub's, what is not in the cache must be on a Hub that answers.
    Raises EvaluationError that names the first fault, its file and row, and the remedy.
    """
    if config.name == "none":
        return {}
    folder = local_folder(config)
    if folder is not None:
        return check_files(folder, config)
    return _check_hub(config)


def check_files(folder: Path, config: EvalConfig) -> dict[str, int]:
    """The same for files below ``folder``; only the demonstration items may lack subjects of MMLU."""
    items: dict[str, int] = {}
    for name in config.benchmarks:
        benchmark, tasks = BENCHMARKS[name], local_files(folder, name)
        missing = [subject for subject in benchmark.subjects if f"{benchmark.task}_{subject}" not in tasks]
        if missing and folder != MINI_FOLDER:
            some = f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"
            raise EvaluationError(
                f"{folder / name} lacks {len(missing)} of the {len(benchmark.subjects)} subjects of "
                f"{benchmark.display_name} ({some}); {without(name)}"
            )
        items[name] = 0
        for files in tasks.values():
            num_rows = {split: _check_rows(path, benchmark) for split, path in files.items()}
            items[name] += _limited(num_rows[next(iter(benchmark.files))], config)
    return items


def _limited(num_rows: int, config: EvalConfig) -> int:
    return num_rows if config.limit is None else min(num_rows, config.limit)


def _check_rows(path: Path, benchmark: Benchmark) -> int:
    """How many rows the file has, each of them read. A line of JSON Lines ends at a line feed and nowhere else."""
    num_rows = 0
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.isspace():
                    continue
                num_rows += 1
                fault = _fault(line, benchmark)
                if fault:
                    raise EvaluationError(f"row {number} of {path} {fault}; mend or remove it")
    except OSError as error:
        raise EvaluationError(f"can't read {path}: {error.strerror or error}; {without(benchmark.name)}") from error
    if not num_rows:
        raise EvaluationError(f"{path} holds no items; {without(benchmark.name)}")
    return num_rows


def _fault(line: bytes, benchmark: Benchmark) -> str | None:
    """What keeps a row from being an item, as the end of a sentence that begins with the row."""
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return f"is not UTF-8 ({error.reason} at byte {error.start})"
    except ValueError as error:
        return f"is not JSON ({error})"
    missing = [key for key in benchmark.required if not isinstance(row, dict) or row.get(key) is None]
    if missing:
        return f"lacks {', '.join(missing)}"
    return _FORMS[benchmark.name](row)


def _arc_challenge(row: Mapping[str, Any]) -> str | None:
    choices = row["choices"]
    if not isinstance(choices, dict) or not (_texts(choices.get("text")) and _texts(choices.get("label"))):
        return "has no lists of texts in choices.text and choices.label"
    if len(choices["text"]) != len(choices["label"]):
        return f"has {len(choices['text'])} choices and {len(choices['label'])} labels"
    return None if row["answerKey"] in choices["label"] else f"has answerKey {row['answerKey']!r}, which is no label"


def _mmlu(row: Mapping[str, Any]) -> str | None:
    if not _texts(row["choices"]) or len(row["choices"]) != _MMLU_CHOICES:
        return f"has no list of {_MMLU_CHOICES} texts in choices"
    answer = row["answer"]
    return _no_place(answer, "answer", row["choices"]) if type(answer) is int else "has no number in answer"


def _hellaswag(row: Mapping[str, Any]) -> str | None:
    if not all(isinstance(row[key], str) for key in ("activity_label", "ctx_a", "ctx_b")):
        return "has no texts in activity_label, ctx_a and ctx_b"
    if not _texts(row["endings"]):
        return "has no list of texts in endings"
    label = str(row["label"])
    return _no_place(int(label), "label", row["endings"]) if label.isdecimal() else f"has label {label!r}, no number"


def _truthfulqa_mc1(row: Mapping[str, Any]) -> str | None:
    targets = row["mc1_targets"]
    choices, labels = (targets.get("choices"), targets.get("labels")) if isinstance(targets, dict) else ([], [])
    if not _texts(choices) or not isinstance(labels, list) or len(labels) != len(choices):
        return "has no lists of one length in mc1_targets.choices and mc1_targets.labels"
    # The official task takes the first choice for the right one, whatever the labels say.
    return None if labels == [1] + [0] * (len(labels) - 1) else "doesn't have its one right choice first in mc1_targets"


_FORMS: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
    "arc_challenge": _arc_challenge,
    "mmlu": _mmlu,
    "hellaswag": _hellaswag,
    "truthfulqa_mc1": _truthfulqa_mc1,
}


def _texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(text, str) for text in value)


def _no_place(place: int, name: str, choices: list[str]) -> str | None:
    return None if 0 <= place < len(choices) else f"has {name} {place}, and choices 0 to {len(choices) - 1}"


def _check_hub(config: EvalConfig) -> dict[str, int]:
    items: dict[str, int] = {}
    for name in config.benchmarks:
        benchmark = BENCHMARKS[name]
        found = [_cached_rows(benchmark, part) for part in benchmark.subjects or (benchmark.hub_config,)]
        rows = [count for count in found if count is not None]
        if len(rows) == len(found):
            items[name] = sum(_limited(count, config) for count in rows)
        else:
            _ask_hub(benchmark)
    return items


def _cached_rows(benchmark: Benchmark, part: str) -> int | None:
    """Items of a configuration that ``datasets`` has in its cache; None where it isn't there."""
    split = next(iter(benchmark.files))
    for path in (_cache() / benchmark.hub_id.replace("/", "___") / part).glob("*/*/dataset_info.json"):
        splits = json.loads(path.read_text(encoding="utf-8")).get("splits") or {}
        if split in splits and path.parent.suffix != ".incomplete":
            return int(splits[split]["num_examples"])
    return None


def _cache() -> Path:
    """Where ``datasets`` keeps what it has prepared; importing it to ask takes seconds."""
    from huggingface_hub import constants

    return Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets").expanduser()


def _ask_hub(benchmark: Benchmark) -> None:
    """Raises EvaluationError unless the Hub may be asked and has the data set for us."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the HTTP library that it uses

    said = os.environ.get("HF_DATASETS_OFFLINE")
    offline = constants.HF_HUB_OFFLINE if said is None else said.upper() in constants.ENV_VARS_TRUE_VALUES
    what = f"{benchmark.display_name} ({benchmark.hub_id})"
    remedy = "give a directory with the files as eval.mirror"
    if offline:
        raise EvaluationError(f"{what} is not in the cache {_cache()}, and offline mode forbids the Hub; {remedy}")
    try:
        HfApi().dataset_info(benchmark.hub_id, timeout=_HUB_SECONDS)
    except (OSError, HTTPError) as error:
        reason = next(iter(str(error).strip().split("\n")), "") or type(error).__name__
        raise EvaluationError(
            f"{what} is not in the cache, and the Hugging Face hub can't be asked for it ({reason}); "
            f"check the network, or {remedy}"
        ) from error
