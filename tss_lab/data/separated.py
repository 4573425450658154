"""CSV and its kin: which character separates the columns, and the rows."""

from __future__ import annotations

import csv
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from tss_lab.data.rows import UnusableRow
from tss_lab.errors import DataError

log = logging.getLogger(__name__)

USUAL_SEPARATOR = {".csv": ",", ".tsv": "\t"}
_IN_WORDS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_RECORDS_LOOKED_AT = 100


def separated_rows(path: Path, separator: str | None) -> Iterator[dict[str, Any] | UnusableRow]:
    """Rows of a CSV or TSV file by its header; the separator is found where none is given, and said if unusual."""
    if separator is None:
        usual = USUAL_SEPARATOR[path.suffix.lower()]
        separator = find_separator(path, usual)
        if separator != usual:
            log.info("the columns of %s are separated by %s", path.name, _IN_WORDS[separator])
    with _opened(path) as stream:
        rows = csv.DictReader(stream, delimiter=separator)
        number = 0
        try:
            for number, row in enumerate(rows, start=1):
                if None in row or None in row.values():
                    detail = f"it has another number of columns than the header ({len(rows.fieldnames or [])})"
                    yield UnusableRow(f"row {number} of {path.name}", "wrong number of columns", detail)
                else:
                    yield row
        except csv.Error as error:
            raise DataError(
                f"row {number + 1} of {path} can't be parsed as CSV ({error}); mend it, or give JSON lines"
            ) from error


def find_separator(path: Path, usual: str) -> str:
    """The separator under which the first records have the header's number of columns, at least two, most often.

    Among equals ``usual`` is taken, then the one with the most columns; ``usual`` where none gives two columns.
    """
    best, found = (0.0, False, 0), usual
    for separator in _IN_WORDS:
        with _opened(path) as stream:
            try:
                widths = [len(record) for record in islice(csv.reader(stream, delimiter=separator), _RECORDS_LOOKED_AT)]
            except csv.Error:  # under the right one it is raised again, with its row
                continue
        widths = [width for width in widths if width]
        if not widths or widths[0] < 2:
            continue
        share = widths.count(widths[0]) / len(widths)
        if (share, separator == usual, widths[0]) > best:
            best, found = (share, separator == usual, widths[0]), separator
    return found


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        yield stream
