"""The probe on the page and on disk: values as they were found, NaN as nothing."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest

from tss_lab.errors import ArtifactError
from tss_lab.report.sections.probe import aurocs_table, probe, summary_rows
from tss_lab.runs.probe import WEAK, Auroc, Finding, Probe, Setting, read_probe

NAN = math.nan
TSS, LENGTH = Setting("tss", "retrieved", 5.0), Setting("length", "", 0.0)


def _finding(setting: Setting, kind: str, value: float, low: float = NAN, high: float = NAN) -> Finding:
    whole = Auroc(value, low, high, 20, 20)
    nothing = Auroc(NAN, NAN, NAN, 0, 0)
    return Finding(setting, kind, whole, whole, nothing, whole, {"0.15": 1.0}, {"a": whole}, 3.5, 4)


FOUND = Probe(
    40,
    [_finding(TSS, "random", 0.9, 0.8, 0.97), _finding(LENGTH, "random", 0.5), _finding(TSS, WEAK, 0.7, 0.6, 0.8)],
    ["Take tss."], TSS, ["2 of 60 rows can't be scored."],
)  # fmt: skip


def test_it_comes_back_from_disk_as_it_was(tmp_path):
    (tmp_path / "probe.json").write_text(json.dumps(FOUND.as_dict(), allow_nan=False), encoding="utf-8")
    found = read_probe(tmp_path / "probe.json")
    assert found.as_dict() == FOUND.as_dict()
    assert (found.advised, found.kinds) == (TSS, ["random", WEAK])
    assert math.isnan(found.findings[0].second.value)
    assert found.figures() == {
        "random/tss_retrieved": 0.9, "random/tss_retrieved_low": 0.8, "random/tss_retrieved_high": 0.97,
        "random/length": 0.5, "weak/tss_retrieved": 0.7, "weak/tss_retrieved_low": 0.6, "weak/tss_retrieved_high": 0.8,
    }  # fmt: skip
    (tmp_path / "probe.json").write_text('{"examples": 4}', encoding="utf-8")
    with pytest.raises(ArtifactError, match="run the same command again"):
        read_probe(tmp_path / "probe.json")


def test_a_row_a_setting_a_column_a_kind():
    table = aurocs_table(FOUND)
    assert [[cell.text for cell in row] for row in table.shown] == [
        ["tss, retrieved", "0.90 [0.80, 0.97]", "0.70 [0.60, 0.80]"], ["length", "0.50", "–"],
    ]  # fmt: skip
    first, second = table.records()
    assert (first["random"], first["random_low"], second["random_low"], second["weak"]) == (0.9, 0.8, None, None)


def test_the_section_and_the_summary():
    run = SimpleNamespace(probe=FOUND, config=SimpleNamespace(method=SimpleNamespace(name="tss_exp")))
    section = probe(run)
    assert [type(part).__name__ for part in section.parts] == ["Note", "Note", "Figure", "Table", "Folded", "Folded"]
    assert summary_rows(run) == [
        ("wrong instructions noticed", "random 0.90 [0.80, 0.97] by tss, retrieved"),
        ("weak instructions noticed", "0.70 [0.60, 0.80] by tss, retrieved"),
        ("probe", "Take tss."),
    ]
    assert probe(SimpleNamespace(probe=None)) is None
