"""Seeded sampling that depends on the examples' content and never on their order in a file."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from tss_lab.errors import ConfigError
from tss_lab.types import Example


def draw(
    examples: Sequence[Example],
    count: int,
    seed: int,
    purpose: str,
    stratify_by: Sequence[str] = (),
    draw_by: str = "example",
) -> list[Example]:
    """``count`` of the examples, in their given order; all where there are no more.

    With ``stratify_by`` (``category`` or keys of ``extra``) each stratum gives its share of ``count``,
    rounded by largest remainder. ``purpose`` makes draws with one seed independent of each other. With
    ``draw_by="input"`` the examples of one input follow each other in the order of drawing.
    """
    if count >= len(examples):
        return list(examples)
    strata: dict[tuple[str, ...], list[Example]] = defaultdict(list)
    for example in examples:
        strata[tuple(_stratum_value(example, key) for key in stratify_by)].append(example)
    shares = _shares({key: len(members) for key, members in strata.items()}, count, seed, purpose)
    chosen: set[str] = set()
    for key, members in strata.items():
        members.sort(key=lambda example: _place(example, seed, purpose, draw_by))
        chosen.update(example.example_id for example in members[: shares[key]])
    return [example for example in examples if example.example_id in chosen]


def _shares(sizes: dict[tuple[str, ...], int], count: int, seed: int, purpose: str) -> dict[tuple[str, ...], int]:
    """How many of each stratum; ties of the remainders are broken by the seed."""
    total = sum(sizes.values())
    exact = {key: count * size / total for key, size in sizes.items()}
    shares = {key: int(value) for key, value in exact.items()}
    order = sorted(sizes, key=lambda key: (shares[key] - exact[key], _position(seed, purpose, "\0".join(key))))
    for key in order[: count - sum(shares.values())]:
        shares[key] += 1
    return shares


def _stratum_value(example: Example, key: str) -> str:
    if key == "category":
        return example.category or ""
    if key not in example.extra:
        raise ConfigError(f"dataset.stratify_by names {key!r}, which the examples don't carry; take category")
    return str(example.extra[key])


def _place(example: Example, seed: int, purpose: str, draw_by: str) -> tuple[bytes, bytes]:
    own = _position(seed, purpose, example.example_id)
    return (_position(seed, purpose, example.input) if draw_by == "input" and example.input else own), own


def _position(seed: int, purpose: str, name: str) -> bytes:
    return hashlib.sha256(f"{purpose}\0{seed}\0{name}".encode()).digest()
