"""Reader ``chat``: conversations in the OpenAI form (``messages``) or the ShareGPT form (``conversations``).

The last turn, the assistant's, is the target. The user's turn before it is the instruction; what stands
before that, a system message included, is the input, one turn a paragraph with its speaker's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tss_lab.config import DatasetConfig
from tss_lab.data.fields import CATEGORY, fields_of, require_fields
from tss_lab.data.files import source_rows
from tss_lab.data.rows import FilteredRows, RawRow, UnusableRow
from tss_lab.errors import DataError

_LISTS = ("messages", "conversations")
_SPEAKERS = {
    "system": "System", "developer": "System",
    "user": "User", "human": "User",
    "assistant": "Assistant", "gpt": "Assistant", "chatgpt": "Assistant", "bot": "Assistant", "model": "Assistant",
    "tool": "Tool", "function": "Tool", "observation": "Tool", "function_call": "Tool call",
}  # fmt: skip


def read(config: DatasetConfig) -> Iterator[RawRow | UnusableRow | FilteredRows]:
    """Conversations as triples. ``dataset.fields.messages`` names the list where it has another name."""
    fields = fields_of(config, ("messages", CATEGORY))
    name, category = fields["messages"], fields[CATEGORY]
    there: set[str] = set()
    for where, row in source_rows(config):
        if isinstance(row, UnusableRow):
            yield row
            continue
        there.update(row)
        name = name or next((known for known in _LISTS if known in row), None)
        if name is None or name not in row:
            raise DataError(_no_messages(where, row))
        turns = _turns(row[name])
        if isinstance(turns, str):
            yield UnusableRow(where, "not a conversation", turns, row)
            continue
        yield RawRow(
            where,
            instruction=turns[-2][1],
            input="\n\n".join(f"{speaker}: {text}" for speaker, text in turns[:-2]),
            output=turns[-1][1],
            category=row.get(category) if category else None,
            extra={"num_turns": len(turns)},
            columns=row,
        )
    if there:
        require_fields(fields, (CATEGORY,), there, config)


def _no_messages(where: str, row: Mapping[str, Any]) -> str:
    triple = " (instruction and output are read with dataset=jsonl)" if {"instruction", "output"} <= set(row) else ""
    there = ", ".join(sorted(map(str, row)))
    return f"{where} has no list of messages{triple}; set dataset.fields.messages to one of {there}"


def _turns(messages: object) -> list[tuple[str, str]] | str:
    """(speaker, text) of each turn, or what is wrong."""
    if not isinstance(messages, list):
        return "its messages are no list"
    turns = []
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, Mapping):
            return f"message {number} is no object"
        role = message.get("role", message.get("from"))
        speaker = _SPEAKERS.get(str(role).lower())
        if speaker is None:
            return f"message {number} is from {role!r}, which is none of {', '.join(_SPEAKERS)}"
        text = _text(message.get("content", message.get("value")))
        if text is None:
            return f"message {number} has no text"
        turns.append((speaker, text))
    if len(turns) < 2:
        return f"it has {len(turns)} turns, expected a question and its answer at least"
    if turns[-1][0] != "Assistant":
        return f"its last turn is the {turns[-1][0].lower()}'s, expected the assistant's"
    if turns[-2][0] != "User":
        return f"the turn before the last is the {turns[-2][0].lower()}'s, expected the user's"
    return turns


def _text(content: object) -> str | None:
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # content parts of the OpenAI form; anything but text can't be scored
        parts = [
            part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None for part in content
        ]
        if parts and all(isinstance(part, str) for part in parts):
            return "".join(str(part) for part in parts)
    return None
