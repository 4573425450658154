"""Settings without what must not leave the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

_SECRET_NAME = re.compile(
    r"(^|_)(api_?key|key|secret|password|passwd|access_token|auth_token|token|authorization|credentials?)$",
    re.IGNORECASE,
)
_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_SECRET_IN_QUERY = re.compile(r"([?&](?:api_?key|key|token|secret|password|sig|signature)=)[^&\s]+", re.IGNORECASE)
_SECRET_IN_MAPPING = re.compile(
    r"""(["']?\b\w*(?:api_?key|secret|password|passwd|token|authorization)["']?\s*:\s*)("[^"]*"|'[^']*'|[^,}\]\s]+)""",
    re.IGNORECASE,
)
HIDDEN = "(hidden)"


def without_secrets(value: Any, name: str = "") -> Any:
    """Plain values for a logger: texts under secret names and credentials inside addresses are hidden.

    Nested names are followed; paths become texts; numbers pass, whatever their name.
    """
    if isinstance(value, Mapping):
        return {str(key): without_secrets(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(inner, name) for inner in value]
    if isinstance(value, PurePath):
        value = str(value)
    if not isinstance(value, str):
        return value
    if _SECRET_NAME.search(name):
        return HIDDEN
    return _SECRET_IN_QUERY.sub(rf"\1{HIDDEN}", _CREDENTIALS_IN_URL.sub(f"{HIDDEN}@", value))


def typed_without_secrets(override: str) -> str:
    """A setting as it is typed, such as ``generator.extra_body={api_key: x}``, without secret values."""
    key, equals, value = override.partition("=")
    hidden = str(without_secrets(value, key.rpartition(".")[2]))
    return f"{key}{equals}" + _SECRET_IN_MAPPING.sub(lambda found: found[1] + HIDDEN, hidden)
