"""Rows out of JSON, JSON Lines, CSV and Parquet files, directories of them, and Hub data sets.

Text is decoded so that broken UTF-8 costs the row it stands in and not the file: undecodable bytes
become lone surrogates, which the row check finds and names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tss_lab.config import DATA_SUFFIXES, DatasetConfig
from tss_lab.data.rows import UnusableRow
from tss_lab.data.separated import USUAL_SEPARATOR, separated_rows
from tss_lab.errors import ConfigError, DataError

_NOT_DATA = {"dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json", "package.json"}
_SPLITS = ("train", "test", "validation", "valid", "dev")
NOT_SEPARATED = "dataset.separator is for CSV and TSV files, and {} is none; leave it out"

Located = tuple[str, "dict[str, Any] | UnusableRow"]


def source_rows(config: DatasetConfig) -> Iterator[Located]:
    """(where, row) of all rows of the configured source, in order. Raises DataError when it can't be had."""
    local = local_path(config)
    if local is not None:
        for path in data_files(local, config.split):
            yield from file_rows(path, config.separator)
        return
    if config.separator:
        raise ConfigError(NOT_SEPARATED.format(config.path or config.hub_id))
    yield from _hub_rows(config)


def describe_source(config: DatasetConfig) -> str:
    """The source in words, for the data check."""
    if config.path is None and config.hub_id is None:
        return "the package's starter corpus" if config.reader == "starter" else f"what {config.reader} reads"
    local = local_path(config)
    if local is not None:
        return str(local)
    subset = f", subset {config.subset}" if config.subset else ""
    return f"{config.path or config.hub_id} on the Hugging Face hub (split {config.split}{subset})"


def local_path(config: DatasetConfig) -> Path | None:
    """``dataset.path`` where it is on this machine; None where the Hub is meant. Raises DataError for neither."""
    if config.path is None:
        if config.hub_id is None:
            raise DataError(
                f"dataset={config.name} needs dataset.path: a file ({', '.join(DATA_SUFFIXES)}), "
                "a directory, or a Hub id"
            )
        return None
    path = Path(config.path).expanduser()
    if path.exists():
        return path
    if re.fullmatch(r"[\w.-]+/[\w.-]+", config.path) and path.suffix.lower() not in DATA_SUFFIXES:
        return None
    raise DataError(f"dataset.path={config.path} is not there; check the path (it is read from {Path.cwd()})")


def data_files(path: Path, split: str) -> list[Path]:
    """The file itself, or a directory's data files of one split, by name.

    Where no file is named after a split (``train-00000.parquet``, ``train/part.json``), all are read.
    """
    if path.is_file():
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in DATA_SUFFIXES
        and file.name not in _NOT_DATA
        and not file.name.startswith(".")
        and file.is_file()
    )
    if not found:
        raise DataError(f"dataset.path={path} holds no data file; put {', '.join(DATA_SUFFIXES)} files there")
    splits = {file: _split_of(file.relative_to(path)) for file in found}
    if not any(splits.values()):
        return found
    chosen = [file for file in found if splits[file] == split]
    if not chosen:
        there = ", ".join(sorted({name for name in splits.values() if name}))
        raise DataError(f"dataset.path={path} has no split {split!r}; set dataset.split to one of {there}")
    return chosen


def _split_of(relative: Path) -> str | None:
    words = re.split(r"[^a-z]+", relative.as_posix().lower())
    return next((name for name in _SPLITS if name in words), None)


def file_rows(path: Path, separator: str | None = None) -> Iterator[Located]:
    """(where, row) of one file; rows count from 1. ``separator``: of a CSV's columns, found where it is None."""
    suffix = path.suffix.lower()
    if suffix not in DATA_SUFFIXES:
        raise DataError(f"{path} is not a kind of file that can be read; give one of {', '.join(DATA_SUFFIXES)}")
    if separator and suffix not in USUAL_SEPARATOR:
        raise ConfigError(NOT_SEPARATED.format(path))
    readers = {".json": _json_rows, ".parquet": _parquet_rows}
    try:
        rows = separated_rows(path, separator) if suffix in USUAL_SEPARATOR else readers.get(suffix, _json_lines)(path)
        for number, row in enumerate(rows, start=1):
            yield f"row {number} of {path.name}", row
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror or error}") from error


def _json_rows(path: Path) -> Iterator[dict[str, Any] | UnusableRow]:
    text = _text(path.read_bytes())
    try:
        content = json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # one object a line under the name .json
            yield from _parsed_lines(text.split("\n"), path)
            return
        raise DataError(f"{path} is not valid JSON: {error}; mend it, or give one object a line (.jsonl)") from error
    except RecursionError as error:
        raise DataError(f"{path} is not a list of rows: it is nested too deeply") from error
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        if len(lists) != 1:
            raise DataError(
                f"{path} holds a JSON object, not rows; give a list of objects, or one object a line (.jsonl)"
            )
        content = lists[0]
    if not isinstance(content, list):
        raise DataError(f"{path} holds no rows; give a list of objects, or one object a line (.jsonl)")
    for number, row in enumerate(content, start=1):
        yield row if isinstance(row, dict) else _not_an_object(path, number, row)


def _json_lines(path: Path) -> Iterator[dict[str, Any] | UnusableRow]:
    with path.open("rb") as stream:
        yield from _parsed_lines((_text(line) for line in stream), path)


def _parsed_lines(lines: Iterable[str], path: Path) -> Iterator[dict[str, Any] | UnusableRow]:
    number = 0
    for line in lines:
        if not line.strip():
            continue
        number += 1
        try:
            row = json.loads(line, strict=False)
        except (json.JSONDecodeError, RecursionError) as error:
            yield UnusableRow(f"row {number} of {path.name}", "not valid JSON", f"the line can't be parsed ({error})")
            continue
        yield row if isinstance(row, dict) else _not_an_object(path, number, row)


def _not_an_object(path: Path, number: int, row: object) -> UnusableRow:
    return UnusableRow(
        f"row {number} of {path.name}", "wrong type", f"it is {_kind(row)}, expected an object with fields"
    )


def _kind(value: object) -> str:
    names = {
        "NoneType": "null",
        "str": "a text",
        "int": "a number",
        "float": "a number",
        "list": "a list",
        "dict": "an object",
    }
    return names.get(type(value).__name__, type(value).__name__)


def _text(content: bytes) -> str:
    return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="surrogateescape")


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=4096):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read as Parquet: {error}") from error


def _hub_rows(config: DatasetConfig) -> Iterator[Located]:
    import datasets
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the HTTP library that it uses

    name = config.path or config.hub_id
    try:
        rows = datasets.load_dataset(name, config.subset, split=config.split)
    except (OSError, HTTPError) as error:
        raise DataError(
            f"can't read data set {name} from the Hugging Face hub ({type(error).__name__}: "
            f"{_first_line(error)}); "
            "check the network and the id, or set dataset.path to a copy on this machine"
        ) from error
    except ValueError as error:
        raise DataError(
            f"data set {name} can't be loaded as asked: {_first_line(error)}; check dataset.subset and dataset.split"
        ) from error
    for number, row in enumerate(rows, start=1):
        yield f"row {number} of {name}", row


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
