"""What made a run's numbers: cost of each step, versions, hardware, fingerprints, settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tss_lab.report.parts import Column, Facts, Folded, Part, Section, Table, decimal
from tss_lab.runs import Run

ORDER = 90

_COSTS = {
    "seconds": Column("seconds", decimal(1)),
    "cpu_seconds": Column("CPU seconds", decimal(1)),
    "peak_memory_gib": Column("peak memory so far, GiB", decimal(2)),
}


def provenance(run: Run) -> Section:
    table = costs_table(run)
    settings = yaml.safe_dump(run.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    parts: list[Part] = [table] if table is not None else []
    parts.append(Folded("Versions, hardware, fingerprints", [Facts(list(_flat(run.record)), small=True)]))
    parts.append(Folded("All settings", preformatted=settings))
    return Section("provenance", "Provenance", "What made these numbers.", parts)


def costs_table(run: Run) -> Table | None:
    """Seconds and memory of each step; the last row holds their sums, and the highest memory."""
    costs = run.facts("costs")
    if not costs:
        return None
    rows = [[step, *(cost.get(name) for name in _COSTS)] for step, cost in costs.items()]
    measured = [[value for value in column if value is not None] for column in list(zip(*rows, strict=True))[1:]]
    seconds, cpu_seconds, memory = measured
    rows.append(["together", sum(seconds), sum(cpu_seconds), max(memory, default=None)])
    return Table("What each step cost", [Column("step"), *_COSTS.values()], rows, last_is_total=True, is_wide=True)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """``run.json`` as flat rows, without what stands in a table of this page: costs and lists of rows."""
    for name, value in values.items():
        if (not prefix and name == "costs") or value in (None, [], "") or _is_rows(value):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} · ")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            yield f"{prefix}{name}".replace("_", " "), text


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, Mapping) for one in value)
