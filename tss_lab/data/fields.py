"""Which field of the source plays which role: ``dataset.fields``.

A role that is mapped to a name needs a field of that name; one that is mapped to null is not read. An input or
a category that isn't mapped is read under its own name where the data have it, as is a category mapped to it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tss_lab.config import DatasetConfig
from tss_lab.errors import ConfigError, DataError

CATEGORY = "category"
OPTIONAL = ("input", CATEGORY)
Fields = Mapping[str, str | None]


def fields_of(config: DatasetConfig, roles: Collection[str]) -> dict[str, str | None]:
    """Role -> the source's name for it, or null. Raises ConfigError for a role that there isn't."""
    unknown = sorted(set(config.fields) - set(roles))
    if unknown:
        raise ConfigError(f"dataset.fields.{unknown[0]} is not a role; map {', '.join(roles)}")
    return {role: config.fields.get(role, role if role in OPTIONAL else None) for role in roles}


def require_fields(fields: Fields, roles: Iterable[str], there: Collection[str], config: DatasetConfig) -> None:
    """Raises DataError for a role whose field is named in the config and none of those that are ``there``."""
    for role in roles:
        name = fields[role]
        may_be_absent = role in OPTIONAL and role == name and (role == CATEGORY or role not in config.fields)
        if name is None or name in there or may_be_absent:
            continue
        near = difflib.get_close_matches(name, there, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        drop = f", or to null if there is none (dataset.fields.{role}=null)" if role in OPTIONAL else ""
        raise DataError(
            f"{config.path or config.hub_id} has no field {name!r}, which dataset.fields.{role} names; {hint}"
            f"set dataset.fields.{role} to one of {', '.join(sorted(map(str, there)))}{drop}"
        )


def conversation_field(row: Mapping[str, Any]) -> str | None:
    """The field that holds a conversation, a list of turns with their speakers; None where there is none."""
    for name, value in row.items():
        turns = value if isinstance(value, list) else []
        if turns and all(isinstance(turn, Mapping) and {"role", "from"} & set(turn) for turn in turns):
            return name
    return None
