"""Reader ``records``: rows with fields, under whatever names, from files or the Hub.

``dataset.fields`` says which field of the source is the instruction, the input, the output and the
category. A field mapped to null is not read.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from tss_lab.config import DatasetConfig
from tss_lab.data.files import source_rows
from tss_lab.data.rows import FilteredRows, RawRow, UnusableRow
from tss_lab.errors import ConfigError, DataError

_ROLES = ("instruction", "input", "output", "category")
_OPTIONAL = ("input", "category")


def read(config: DatasetConfig) -> Iterator[RawRow | UnusableRow | FilteredRows]:
    """All rows through the field mapping. Raises DataError where a mapped field is nowhere in the source."""
    mapping = _mapping(config)
    there: set[str] = set()
    num_rows = 0
    for where, row in source_rows(config):
        if isinstance(row, UnusableRow):
            yield row
            continue
        num_rows += 1
        there.update(row)
        if num_rows == 1:
            _require(mapping, ("instruction", "output"), there, config)
        absent = [mapping[role] for role in ("instruction", "output") if mapping[role] not in row]
        if absent:
            yield UnusableRow(where, "missing field", f"it has no field {absent[0]!r}")
            continue
        values = {role: row.get(name) if name else None for role, name in mapping.items()}
        yield RawRow(
            where,
            instruction=values["instruction"],
            input="" if values["input"] is None else values["input"],
            output=values["output"],
            category=values["category"],
        )
    if num_rows:
        _require(mapping, _OPTIONAL, there, config)


def _mapping(config: DatasetConfig) -> dict[str, str | None]:
    unknown = set(config.fields) - set(_ROLES)
    if unknown:
        raise ConfigError(f"dataset.fields.{sorted(unknown)[0]} is not a role; map {', '.join(_ROLES)}")
    mapping = {role: config.fields.get(role) for role in _ROLES}
    for role in ("instruction", "output"):
        mapping[role] = mapping[role] or role
    return mapping


def _require(mapping: dict[str, str | None], roles: tuple[str, ...], there: set[str], config: DatasetConfig) -> None:
    for role in roles:
        name = mapping[role]
        if name is None or name in there:
            continue
        near = difflib.get_close_matches(name, there, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        drop = f", or to null if there is none (dataset.fields.{role}=null)" if role in _OPTIONAL else ""
        raise DataError(
            f"{config.path or config.hub_id} has no field {name!r}, which dataset.fields.{role} names; {hint}"
            f"set dataset.fields.{role} to one of {', '.join(sorted(map(str, there)))}{drop}"
        )
