"""The notebook without a run to read; with one it is read in test_end_to_end."""

import runpy
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "read_a_run.py"


@pytest.mark.parametrize(
    ("arguments", "said"), [([], "start one with"), (["no_run"], "no_run holds no scores.parquet")]
)
def test_no_run_is_one_sentence(arguments, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(NOTEBOOK), *arguments])
    with pytest.raises(SystemExit, match=said):
        runpy.run_path(str(NOTEBOOK))
