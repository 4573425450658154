"""Reader ``starter``: the corpus of our own writing that comes with the package.

240 examples over 20 task categories, two an input. Each says whether its output fits only its instruction
(``specificity: specific``) or several that one might ask of its input (``generic``), and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tss_lab.config import DatasetConfig
from tss_lab.data.files import file_rows
from tss_lab.data.rows import FilteredRows, RawRow, UnusableRow

STARTER = Path(__file__).parents[1] / "starter" / "starter.jsonl"


def read(config: DatasetConfig) -> Iterator[RawRow | UnusableRow | FilteredRows]:
    """The starter corpus, or another file of its form at ``dataset.path``."""
    for where, row in file_rows(Path(config.path).expanduser() if config.path else STARTER, config.separator):
        if isinstance(row, UnusableRow):
            yield row
            continue
        yield RawRow(
            where, row.get("instruction"), row.get("input", ""), row.get("output"), row.get("category"),
            extra={key: row[key] for key in ("specificity", "why") if key in row}, columns=row,
        )  # fmt: skip
