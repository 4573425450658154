"""Measures on examples that no method could select."""

from __future__ import annotations

from tss_lab.report.parts import COUNT, Column, Form, Section, Table, estimate, section
from tss_lab.runs import Run

ORDER = 70


def held_out(run: Run) -> Section | None:
    lead = "Examples that no method could select, before and after tuning (no end token). Differences are paired."
    return section("held-out", "Held-out examples", lead, [held_out_table(run)])


def held_out_table(run: Run) -> Table | None:
    """Held-out measures before and after tuning; a row begins with its ``HeldOutMeasure``."""
    if not run.held_out:
        return None
    columns = [
        Column("measure", _MEASURE),
        Column("before tuning", estimate(3), "before"),
        Column("after tuning", estimate(3), "after"),
        Column("difference", estimate(3, signed=True)),
        Column("examples", COUNT),
    ]
    rows = [[one, one.before, one.after, one.difference, one.before.n] for one in run.held_out]
    return Table("Held-out measures, ± standard error", columns, rows, is_wide=True)


_MEASURE = Form(
    lambda measure: f"{measure.title} ({measure.unit}, {measure.better} is better)",
    lambda measure: {"": measure.name, "_unit": measure.unit, "_better": measure.better},
    ("", "_unit", "_better"), is_text=True,
)  # fmt: skip
