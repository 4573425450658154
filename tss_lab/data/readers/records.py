"""Reader ``records``: rows with fields, under whatever names, from files or the Hub.

``dataset.fields`` says which field of the source is the instruction, the input, the output and the category.
"""

from __future__ import annotations

from collections.abc import Iterator

from tss_lab.config import DatasetConfig
from tss_lab.data.fields import OPTIONAL, conversation_field, fields_of, require_fields
from tss_lab.data.files import source_rows
from tss_lab.data.rows import FilteredRows, RawRow, UnusableRow
from tss_lab.errors import DataError

_REQUIRED = ("instruction", "output")


def read(config: DatasetConfig) -> Iterator[RawRow | UnusableRow | FilteredRows]:
    """All rows through the field mapping. Raises DataError where a mapped field is nowhere in the source."""
    fields = fields_of(config, ("instruction", "input", "output", "category"))
    fields |= {role: fields[role] or role for role in _REQUIRED}
    there: set[str] = set()
    num_rows = 0
    for where, row in source_rows(config):
        if isinstance(row, UnusableRow):
            yield row
            continue
        num_rows += 1
        there.update(row)
        absent = [fields[role] for role in _REQUIRED if fields[role] not in row]
        if absent and num_rows == 1:
            if name := conversation_field(row):
                raise DataError(
                    f"{where} is a conversation (field {name!r}); read it with dataset=chat "
                    f"dataset.path={config.path or config.hub_id}"
                )
            require_fields(fields, _REQUIRED, there, config)
        if absent:
            yield UnusableRow(where, "missing field", f"it has no field {absent[0]!r}", row)
            continue
        values = {role: row.get(name) if name else None for role, name in fields.items()}
        yield RawRow(
            where,
            instruction=values["instruction"],
            input="" if values["input"] is None else values["input"],
            output=values["output"],
            category=values["category"],
            columns=row,
        )
    if num_rows:
        require_fields(fields, OPTIONAL, there, config)
