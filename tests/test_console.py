"""What stands in a log file and in a pipe."""

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tss_lab import console


@pytest.fixture
def restored(monkeypatch):
    own = logging.getLogger("tss_lab")
    before = own.handlers[:], own.level, own.propagate
    monkeypatch.setattr(console, "_warned", set())
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    yield
    own.handlers[:], own.level, own.propagate = before


def test_a_record_is_one_line_without_a_terminal(restored, capsys):
    console.show_log()
    path = "/data/" + "long/" * 100 + "name.jsonl"
    logging.getLogger("tss_lab.data").info("results go to %s", path)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"INFO results go to {path}")


def test_a_library_warns_once(restored, capsys):
    """Also where it changes the filters in between, which makes Python forget what was said."""
    console.show_log()
    for _ in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("no workers", UserWarning, stacklevel=1)
            warnings.warn("no sampler", UserWarning, stacklevel=1)
    said = capsys.readouterr().err
    assert (said.count("no workers"), said.count("no sampler")) == (1, 1)


@pytest.mark.parametrize("arguments", [["tss_lab", "--help"], ["tss_lab", "--cfg", "job"], ["tss_lab.store", "list"]])
def test_head_ends_the_output_without_words(arguments, tmp_path):
    shard = tmp_path / "store" / "likelihoods" / "f" / "part-0.parquet"
    shard.parent.mkdir(parents=True)
    shard.touch()
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
