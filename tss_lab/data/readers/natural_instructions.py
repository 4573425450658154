"""Reader ``natural_instructions``: Super-NaturalInstructions, from its task files or from the Hub.

Definition is I, input is X, the first output is Y, the category is the task's first one. A directory
holds the original ``taskNNN_*.json`` files; on the Hub, and in a mirror of it, a row is an instance
(``task_name``, ``definition``, ``inputs``, ``targets``) and the category comes from the task's number.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tss_lab.config import DatasetConfig
from tss_lab.data.files import NOT_SEPARATED, local_path, source_rows
from tss_lab.data.rows import OTHER_CATEGORY, FilteredRows, RawRow, UnusableRow
from tss_lab.errors import ConfigError, DataError

Rows = Iterator[RawRow | UnusableRow | FilteredRows]


def read(config: DatasetConfig) -> Rows:
    """Instances of the wanted tasks; what settings leave out is counted.

    Raises DataError for a broken file, ConfigError for a separator of files that have none.
    """
    path = local_path(config)
    files = [] if path is None else [path] if path.is_file() else sorted(path.rglob("task*.json"))
    if files and all(file.name.startswith("task") and file.suffix == ".json" for file in files):
        if config.separator:
            raise ConfigError(NOT_SEPARATED.format(files[0]))
        for file in files:
            yield from _task_file(file, config)
    else:
        yield from _instances(config)


def _task_file(path: Path, config: DatasetConfig) -> Rows:
    try:
        task = json.loads(path.read_bytes().decode("utf-8", errors="surrogateescape"), strict=False)
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(f"{path} can't be read as a task file: {error}; get it again") from error
    if not isinstance(task, Mapping) or not {"Definition", "Instances", "Categories"} <= set(task):
        raise DataError(
            f"{path} is not a task file of Natural Instructions (Definition, Categories and Instances expected); "
            "take it out of the directory"
        )
    instances: list[Any] = list(task["Instances"])
    category = _first(task["Categories"])
    if reason := _left_out(category, task.get("Output_language"), config):
        yield FilteredRows(reason, len(instances), category)
        return
    definition = _first(task["Definition"])
    chosen = _capped([str(_get(instance, "id", number)) for number, instance in enumerate(instances)], config)
    if len(chosen) < len(instances):
        yield FilteredRows(f"beyond {config.per_task} a task", len(instances) - len(chosen), category)
    for number in chosen:
        where = f"row {number + 1} of {path.name}"
        instance = instances[number]
        if not isinstance(instance, Mapping):
            yield UnusableRow(where, "wrong type", "the instance is no object")
            continue
        yield RawRow(
            where,
            definition,
            instance.get("input", ""),
            _first(instance.get("output")),
            category,
            {"task": path.stem},
            {"task": path.stem, "category": category, **instance},
        )


def _instances(config: DatasetConfig) -> Rows:
    """Rows of the Hub's form. With a cap, a task's rows are held until all are known, and then drawn."""
    table = _task_table()
    by_task: dict[tuple[str, str | None], list[RawRow]] = {}
    left_out: Counter[tuple[str, str | None]] = Counter()
    for where, row in source_rows(config):
        if isinstance(row, UnusableRow):
            yield row
            continue
        absent = [name for name in ("task_name", "definition", "inputs", "targets") if name not in row]
        if absent:
            raise DataError(
                f"{where} has no field {absent[0]!r}; natural_instructions reads the original task files, or rows "
                "with task_name, definition, inputs and targets"
            )
        task = str(row["task_name"])
        category = str(row["category"]) if row.get("category") else table.category(task)
        if reason := _left_out(category, table.languages(task), config):
            left_out[reason, category] += 1
            continue
        raw = RawRow(where, row["definition"], row["inputs"], _first(row["targets"]), category, {"task": task}, row)
        if config.per_task is None:
            yield raw
        else:
            by_task.setdefault((task, category), []).append(raw)
    for (_, category), rows in by_task.items():
        chosen = _capped([f"{row.input}" for row in rows], config)
        left_out[f"beyond {config.per_task} a task", category] += len(rows) - len(chosen)
        yield from (rows[position] for position in chosen)
    yield from (FilteredRows(reason, count, category) for (reason, category), count in left_out.items() if count)


def _left_out(category: str | None, output_language: object, config: DatasetConfig) -> str | None:
    wanted = None if config.categories is None else {name.casefold() for name in config.categories}
    if wanted is not None and (category or "").casefold() not in wanted:
        return OTHER_CATEGORY
    languages = output_language if isinstance(output_language, list) else []
    english = all(str(language).casefold() == "english" for language in languages)
    if config.english_only and not english and (category or "").casefold() != "translation":
        return "output not in English"
    return None


def _capped(names: list[str], config: DatasetConfig) -> list[int]:
    """Positions of at most ``per_task`` instances, drawn by the seed, in file order."""
    if config.per_task is None or len(names) <= config.per_task:
        return list(range(len(names)))
    order = sorted(
        range(len(names)),
        key=lambda number: hashlib.sha256(
            f"per task\0{config.seed}\0{names[number]}".encode("utf-8", "surrogatepass")
        ).digest(),
    )
    return sorted(order[: config.per_task])


def _first(value: Any) -> Any:
    """The first of a list, or the value itself; null for an empty list."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def _get(instance: object, key: str, default: object) -> object:
    return instance.get(key, default) if isinstance(instance, Mapping) else default


@dataclass(frozen=True)
class _TaskTable:
    """Category and output language of the tasks in the paper's 20 categories, by name or number."""

    by_number: dict[int, str]
    by_name: dict[str, str]
    not_english: frozenset[int]

    def category(self, task: str) -> str | None:
        return self.by_name.get(task) or self.by_number.get(_number(task))

    def languages(self, task: str) -> list[str]:
        return ["other"] if _number(task) in self.not_english else []


def _task_table() -> _TaskTable:
    content = json.loads((Path(__file__).parent / "natural_instructions_tasks.json").read_text(encoding="utf-8"))
    by_number = {number: category for category, numbers in content["categories"].items() for number in numbers}
    return _TaskTable(by_number, content["by_name"], frozenset(content["output_not_english"]))


def _number(task: str) -> int:
    digits = task.removeprefix("task").split("_")[0]
    return int(digits) if digits.isdigit() else -1
