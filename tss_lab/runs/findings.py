"""What the doctor found, and ``doctor.json``: a finding a check, written and read here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from tss_lab.errors import ArtifactError

FORMAT_VERSION = 1
Status = Literal["ok", "warning", "failure", "skipped"]
STATUSES: tuple[Status, ...] = get_args(Status)
Figures = Mapping[str, int | float | str | Sequence[str] | None]


@dataclass(frozen=True)
class Finding:
    """What one check came to.

    ``text`` says what was found, with its numbers; ``remedy`` what to do about it, empty where nothing is to be done.
    ``figures`` are the numbers by name (units in their names), and the ids of the examples that are meant.
    """

    name: str
    status: Status
    text: str
    remedy: str = ""
    figures: Figures = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The check's name for people."""
        return self.name.replace("_", " ")

    def __str__(self) -> str:
        return f"{self.title}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")


def skipped(name: str, reason: str) -> Finding:
    """A check that couldn't be made."""
    return Finding(name, "skipped", reason)


def findings_content(findings: Sequence[Finding]) -> dict[str, Any]:
    """The content of ``doctor.json``; a figure that is not finite is null."""
    plain = [asdict(one) for one in findings]
    for one in plain:
        one["figures"] = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in one["figures"].items()
        }
    return {"format_version": FORMAT_VERSION, "findings": plain}


def read_findings(path: Path) -> list[Finding]:
    """The findings of a ``doctor.json``. Raises ArtifactError for a newer version's, ValueError for what is none."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(version := content.get("format_version"), int):
        raise ValueError("it names no format_version")
    if version > FORMAT_VERSION:
        raise ArtifactError(f"{path} was written by a newer tss_lab (format {version}); update tss_lab")
    try:
        found = [Finding(**one) for one in content["findings"]]
    except TypeError as error:
        raise ValueError(f"a finding isn't one ({error})") from error
    if unknown := [one.status for one in found if one.status not in STATUSES]:
        raise ValueError(f"a finding has the status {unknown[0]!r}")
    return found
