"""What the doctor found: a row a check, troubles first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tss_lab.report.parts import Column, Folded, Part, Section, Table, section
from tss_lab.runs import Run
from tss_lab.runs.findings import Finding

ORDER = 15

_TROUBLES = ("failure", "warning")


def doctor(run: Run) -> Section | None:
    troubles = sorted((one for one in run.findings if one.status in _TROUBLES), key=lambda one: one.status)
    others = [one for one in run.findings if one.status not in _TROUBLES]
    parts: list[Part] = [findings_table("What to look at", troubles)] if troubles else []
    if others:
        found = findings_table("What is sound, and what couldn't be told", others)
        parts.append(Folded("The other checks", [found]) if troubles else found)
    lead = f"Is what was computed sound? {count_statuses(run.findings)}"
    return section("doctor", "Checks", lead, parts)


def findings_table(caption: str, findings: Sequence[Finding]) -> Table:
    columns = [Column("check"), Column("status"), Column("found"), Column("what to do")]
    rows = [[one.title, one.status, one.text, one.remedy or None] for one in findings]
    if not any(one.remedy for one in findings):
        columns, rows = columns[:3], [row[:3] for row in rows]
    return Table(caption, columns, rows, is_wide=True)


def count_statuses(findings: Sequence[Finding]) -> str:
    """``17 checks: 1 failure, 2 warnings, 13 ok, 1 skipped.``"""
    counts: Counter[str] = Counter(one.status for one in findings)
    forms = {"failure": ("failure", "failures"), "warning": ("warning", "warnings"), "ok": ("ok", "ok"),
             "skipped": ("skipped", "skipped")}  # fmt: skip
    said = [f"{counts[status]} {words[counts[status] > 1]}" for status, words in forms.items() if counts[status]]
    return f"{len(findings)} checks: {', '.join(said)}."
