"""The notebooks run as scripts; read_a_run with a run to read is in test_end_to_end."""

import runpy
import sys
from pathlib import Path

import pytest

from tests.alternatives.conftest import BagOfWords
from tss_lab.alternatives import embed

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


@pytest.mark.parametrize(("arguments", "said"), [([], "start one with"), (["no_run"], "no_run holds no scored.jsonl")])
def test_no_run_is_one_sentence(arguments, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["read_a_run.py", *arguments])
    with pytest.raises(SystemExit, match=said):
        runpy.run_path(str(NOTEBOOKS / "read_a_run.py"))


def test_rows_of_a_list_are_scored_and_kept(monkeypatch, tmp_path, capsys, tiny_llama_folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["score_your_rows.py", str(tiny_llama_folder)])
    monkeypatch.setattr(embed, "Embedder", BagOfWords)
    values = runpy.run_path(str(NOTEBOOKS / "score_your_rows.py"))
    table, kept = values["table"], values["kept"]
    assert table["instruction"].to_list() == [row["instruction"] for row in values["rows"]]
    assert table["set_aside"].to_list() == [None] * 7 + ["empty output"]
    assert kept["tss_pp"].to_list() == table["tss_pp"].drop_nulls().sort(descending=True).head(len(kept)).to_list()
    assert f"of {len(kept)} rows are kept by both methods" in capsys.readouterr().out
