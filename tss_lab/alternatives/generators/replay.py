"""Generator ``replay``: alternatives that were made elsewhere, read from a file.

A row names its example by ``example_id``, by ``instruction`` and ``input``, or by ``input`` alone where they were
written from it alone, and has ``alternatives``, a list of texts; or it is a row of an alternatives table
(``example_id``, ``alternative_index``, ``instruction``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tss_lab.alternatives.generators.base import Reply, Request
from tss_lab.config import GeneratorConfig
from tss_lab.errors import ConfigError, GeneratorError
from tss_lab.store import file_sha256
from tss_lab.types import Example

_ContentKey = tuple[str, str]


class ReplayGenerator:
    """See ``Generator``. Every request of an example gets the file's list, numbered."""

    def __init__(self, config: GeneratorConfig, cache: Path):
        if config.path is None:
            raise ConfigError("generator=replay needs generator.path: a JSONL or Parquet file of alternatives")
        self.path = Path(config.path).expanduser()
        if not self.path.is_file():
            raise ConfigError(f"generator.path={config.path} is not there; check the path")
        self._by_id: dict[str, list[str]] = {}
        self._by_content: dict[_ContentKey, list[str]] = {}
        self._by_input: dict[str, list[str]] = {}
        self._read()

    def identity(self) -> dict[str, Any]:
        """The file's content."""
        return {"kind": "replay", "file_sha256": file_sha256(self.path)}

    def render(self, request: Request) -> str:
        """Nothing is sent; the text says where the alternatives come from."""
        return f"(nothing is asked: alternatives come from {self.path.name})"

    def ask(self, requests: Sequence[Request]) -> Iterator[list[Reply]]:
        """The lists, one reply a request; an example that the file doesn't know gets a refusal."""
        yield [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        lines = self._lines(request.example)
        if lines is None:
            return Reply(request, "", refused=f"{self.path.name} has no alternatives for it")
        return Reply(
            request, "\n".join(f"{number}. {' '.join(line.split())}" for number, line in enumerate(lines, start=1))
        )

    def _lines(self, example: Example) -> list[str] | None:
        content = example.instruction, example.input
        return self._by_id.get(example.example_id) or self._by_content.get(content) or self._by_input.get(example.input)

    def _read(self) -> None:
        import polars as pl

        try:
            if self.path.suffix == ".parquet":
                table = pl.read_parquet(self.path)
            else:
                table = pl.read_ndjson(self.path, infer_schema_length=None)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise GeneratorError(f"{self.path} can't be read ({error}); give JSON lines or Parquet") from error
        columns = set(table.columns)
        if {"example_id", "alternative_index", "instruction"} <= columns:
            found: dict[str, list[str]] = defaultdict(list)
            for row in table.sort("example_id", "alternative_index").iter_rows(named=True):
                found[row["example_id"]].append(row["instruction"])
            self._by_id = dict(found)
            return
        if "alternatives" not in columns or not columns & {"example_id", "instruction", "input"}:
            raise GeneratorError(
                f"{self.path} has the fields {', '.join(table.columns)}; "
                "replay needs alternatives, and example_id, instruction (and input) or input"
            )
        for number, row in enumerate(table.iter_rows(named=True), start=1):
            lines = row["alternatives"]
            if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
                raise GeneratorError(f"row {number} of {self.path}: 'alternatives' is no list of texts; mend it")
            if row.get("example_id"):
                self._by_id[row["example_id"]] = lines
            elif row.get("instruction"):
                self._by_content[(row["instruction"], row.get("input") or "")] = lines
            elif row.get("input"):
                self._by_input[row["input"]] = lines
            else:
                raise GeneratorError(
                    f"row {number} of {self.path} has no example_id, no instruction and no input; mend it"
                )


build = ReplayGenerator
