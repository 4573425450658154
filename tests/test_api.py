"""Three lines of Python: the numbers and the sentences of the command line."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from datasets import Dataset

import tss_lab
from tests.test_end_to_end import corpus
from tss_lab.cli.compose import config_of
from tss_lab.errors import ConfigError, DataError
from tss_lab.pipeline import run


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_llama_folder):
    folder = tmp_path_factory.mktemp("api")
    corpus(folder)
    (folder / "model").symlink_to(tiny_llama_folder)
    return folder


@pytest.fixture(scope="module")
def rows(place):
    with (place / "rows.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def settings(place):
    return [
        f"generator.path={place}/alternatives.jsonl", f"paths.store={place}/store", f"paths.runs={place}/runs",
        "scoring.self_check_pairs=0",
    ]  # fmt: skip


def scored(place, rows, *methods, **more):
    return tss_lab.score(
        rows, model=str(place / "model"), methods=methods, alternatives="generated", generator="replay", k=3,
        overrides=settings(place), progress=False, **more,
    )  # fmt: skip


def test_scores_are_those_of_the_command_line(place, rows):
    table = scored(place, rows, "tss_pp", "ifd", "random")
    assert table.columns == ["instruction", "input", "output", "kind", "example_id", "set_aside", "n_target_tokens",
                             "tss_pp", "ifd", "random"]  # fmt: skip
    assert table["instruction"].to_list() == [row["instruction"] for row in rows]
    assert table["set_aside"].null_count() == len(rows)
    for method in ("tss_pp", "ifd", "random"):
        config = config_of(
            ["dataset=jsonl", f"dataset.path={place}/rows.jsonl", f"model.path={place}/model", "alternatives=generated",
             "generator=replay", "alternatives.k=3", f"method={method}", "rho=0.3", *settings(place),
             "stages=[dataset,alternatives,likelihoods,scores,selection]"]
        )  # fmt: skip
        there = tss_lab.read_run(run(config))
        here = dict(zip(table["example_id"], table[method], strict=True))
        wanted = dict(zip(there.selection.example_id_N, there.selection.score_N, strict=True))
        assert here == wanted
        kept = tss_lab.select(table, method=method, rho=0.3)
        assert set(kept["example_id"]) == set(there.selection.example_id_N[there.selection.kept_N])
        assert kept["rank"].to_list() == list(range(there.selection.num_kept))
        assert kept["weight"].mean() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "as_given",
    [lambda rows: rows, Dataset.from_list, pl.DataFrame, lambda rows: pl.DataFrame(rows).to_pandas(), iter],
    ids=["list", "datasets", "polars", "pandas", "iterator"],
)
def test_rows_come_as_people_have_them(place, rows, as_given):
    table = scored(place, as_given(rows[:6]), "tss")
    assert np.isfinite(table["tss"].to_numpy()).all()
    assert table["kind"].to_list() == [row["kind"] for row in rows[:6]]


def test_a_bad_row_is_set_aside_in_its_place(place, rows):
    bad = [rows[0], {**rows[1], "output": ""}, rows[0], rows[2]]
    table = scored(place, bad, "ppl")
    assert table["set_aside"].to_list() == [None, "empty output", "duplicate", None]
    assert [value is None for value in table["ppl"]] == [False, True, True, False]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"question": "x", "output": "y"}], "dataset.fields.instruction"),
        ({"instruction": "x"}, "give a list of mappings"),
        (["text"], "row 1 is a str"),
        ([{"instruction": "x", "output": "y", "ppl": 1}], "already; rename it"),
    ],
)
def test_rows_that_are_none_are_named(place, given, said):
    with pytest.raises(DataError, match=said):
        scored(place, given, "ppl")


def test_settings_that_are_none_are_named(place, rows):
    with pytest.raises(ConfigError, match="did you mean method=tss_pp"):
        scored(place, rows, "tss_ppp")
    with pytest.raises(ConfigError, match="names no method"):
        scored(place, rows)
    with pytest.raises(ConfigError, match="no column 'ifd'"):
        tss_lab.select(pl.DataFrame({"tss": [1.0]}), method="ifd", rho=0.5)


def test_nothing_heavy_comes_with_the_import():
    heavy = "torch", "transformers", "polars", "numpy", "hydra", "pydantic"
    code = f"import sys, tss_lab; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
