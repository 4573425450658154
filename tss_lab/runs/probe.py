"""``probe.json``: how well scores tell wrong instructions from right ones, and weak ones from strong ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tss_lab.errors import ArtifactError

WEAK = "weak"
"""In place of a kind of wrong instruction: rows whose label says that their instruction hardly matters."""


@dataclass(frozen=True)
class Auroc:
    """Probability that a row of the first kind stands above one of the second, ties counted half.

    ``low`` and ``high`` bound a 95 % bootstrap interval; NaN where there are too few rows for one.
    """

    value: float
    low: float
    high: float
    num_above: int
    num_below: int

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval leaves out chance."""
        return self.low > 0.5 or self.high < 0.5


@dataclass(frozen=True)
class Setting:
    """A method with the alternatives that it was given; ``source`` is empty where it needs none.

    ``pairs`` are the (prompt, output) pairs it costs an example.
    """

    method: str
    source: str
    pairs: float

    @property
    def title(self) -> str:
        return f"{self.method}, {self.source}" if self.source else self.method


@dataclass(frozen=True)
class Finding:
    """One setting on one kind of bad row.

    ``first`` and ``second`` are two halves of the rows, drawn beforehand. ``length_matched`` compares rows of like
    output length only. ``precision`` is the share of good rows among the best ρ. ``groups`` is the AUROC within a
    category or a range of output lengths. ``pairs_won`` of ``num_pairs`` inputs that have a row of either kind have
    the good one higher.
    """

    setting: Setting
    kind: str
    whole: Auroc
    first: Auroc
    second: Auroc
    length_matched: Auroc
    precision: Mapping[str, float]
    groups: Mapping[str, Auroc]
    pairs_won: float = math.nan
    num_pairs: int = 0


@dataclass(frozen=True)
class Probe:
    """What a run's probe found. ``advice`` are sentences; ``advised`` is the setting they name, if any."""

    examples: int
    findings: Sequence[Finding]
    advice: Sequence[str]
    advised: Setting | None
    notes: Sequence[str] = field(default_factory=tuple)

    def of(self, kind: str) -> list[Finding]:
        """The findings on one kind of bad row."""
        return [one for one in self.findings if one.kind == kind]

    @property
    def kinds(self) -> list[str]:
        return list(dict.fromkeys(one.kind for one in self.findings))

    def as_dict(self) -> dict[str, Any]:
        """Plain values; None for what isn't a number."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        return plain

    def figures(self) -> dict[str, float]:
        """Flat names for ``metrics.json``: ``<kind>/<method>_<source>``, with ``_low`` and ``_high``."""
        found: dict[str, float] = {}
        for one in self.findings:
            name = f"{one.kind}/{one.setting.method}" + (f"_{one.setting.source}" if one.setting.source else "")
            found |= {name: one.whole.value, f"{name}_low": one.whole.low, f"{name}_high": one.whole.high}
        return {name: value for name, value in found.items() if math.isfinite(value)}


def read_probe(path: Path) -> Probe:
    """Raises ArtifactError for a file that isn't one."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        findings = [
            Finding(
                Setting(**one["setting"]), one["kind"],
                _auroc(one["whole"]), _auroc(one["first"]), _auroc(one["second"]), _auroc(one["length_matched"]),
                {rho: _number(value) for rho, value in one["precision"].items()},
                {group: _auroc(value) for group, value in one["groups"].items()},
                _number(one["pairs_won"]), one["num_pairs"],
            )
            for one in plain["findings"]
        ]  # fmt: skip
        advised = None if plain["advised"] is None else Setting(**plain["advised"])
        return Probe(plain["examples"], findings, plain["advice"], advised, plain["notes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} can't be read ({error}); run the same command again") from error


def _auroc(plain: Mapping[str, Any]) -> Auroc:
    return Auroc(**{name: _number(value) for name, value in plain.items()})


def _number(value: Any) -> Any:
    return math.nan if value is None else value


def _without_nan(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {name: _without_nan(value) for name, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_without_nan(value) for value in plain]
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
