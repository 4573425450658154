"""Where the examples come from, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from tss_lab.config.section import Count, Section
from tss_lab.errors import ConfigError

DATA_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}


def _one_character(separator: str) -> str:
    character = _SEPARATORS.get(separator, separator)
    if len(character) != 1 or character in '"\r\n':
        raise ValueError("dataset.separator is one character, or comma, semicolon, tab or pipe")
    return character


Separator = Annotated[str, AfterValidator(_one_character)]


def data_name(path: str | None) -> str:
    """What data that no config names are called: the file's or directory's name, or the last part of a Hub id.

    Raises ConfigError without a path.
    """
    if path is None:
        raise ConfigError("dataset.path is not given; give a file, a directory, or a Hub id")
    place = Path(str(path)).expanduser()
    if place.name in ("", ".."):
        place = place.resolve()
    return place.stem if place.suffix.lower() in DATA_SUFFIXES else place.name


class DatasetConfig(Section):
    not_identity = frozenset({"licence"})
    name: str
    """What the data are called on pages and in a run's name; null: ``data_name(path)``."""
    reader: str
    """``records``, ``natural_instructions``, ``chat``, ``starter``, or the dotted path of a function."""
    path: str | None = None
    """A file, a directory, a mirror of the Hub data set, or a Hub id."""
    hub_id: str | None = None
    """Read from the Hub where ``path`` is not given."""
    licence: str | None = None
    """As the Hub names it, for the data card of a selection; null: unknown."""
    subset: str | None = None
    split: str = "train"
    fields: dict[str, str | None] = Field(default_factory=dict)
    """instruction, input, output, category -> the source's field names; null: not read. ``category`` is read where
    the data have it."""
    separator: Separator | None = None
    """Between the columns of a CSV file: a character, or comma, semicolon, tab, pipe. None: found in the file."""
    limit: Count | None = None
    """At most so many examples, drawn by ``seed`` (stratified by category where ``stratify``)."""
    stratify: bool = False
    stratify_by: list[str] = Field(default_factory=lambda: ["category"])
    """``category``, or names of further fields that the reader keeps with an example."""
    draw_by: Literal["example", "input"] = "example"
    """input: examples of one input are drawn together, as far as the count allows."""
    seed: int = 0
    held_out: Annotated[int, Field(ge=0)] = 0
    """So many examples are put aside for held-out measures; no method may select from them."""
    on_bad_row: Literal["fail", "skip"] = "fail"
    drop_duplicates: bool = True
    max_output_characters: Count = 20_000
    categories: list[str] | None = None
    per_task: Count | None = None
    """natural_instructions: at most so many instances a task."""
    english_only: bool = True
    """natural_instructions: only tasks whose output is English or whose category is Translation."""

    @model_validator(mode="before")
    @classmethod
    def _own_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and "name" in values and values["name"] is None:
            return {**values, "name": data_name(values.get("path"))}
        return values
