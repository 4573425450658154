"""The card beside a selection: the Hub reads it, the folder loads as a data set, and hostile data stay text."""

import json
import re

import pytest
import yaml
from made_up_run import HOSTILE, full_run

from tests.made_up import run_config, write_folder
from tss_lab.report.data_card import data_card
from tss_lab.report.sections.audit import shifts_table, summary
from tss_lab.runs import names, read_run

TYPED = [
    "+experiment=quickstart", "dataset.path=/home/ann/rows.jsonl", "generator.base_url=http://10.0.0.1:8000",
    "rho=0.333", "paths.runs=/home/ann/runs", "method=tss_pp_exp", "stages=[sft]", "sft.epochs=2",
    "model.path=own/model", "seed=0",
]  # fmt: skip


@pytest.fixture
def run(tmp_path):
    folder = full_run(tmp_path / "runs", "odd | *name* <b>").folder
    record = json.loads((folder / names.RECORD).read_text(encoding="utf-8"))
    (folder / names.RECORD).write_text(json.dumps({**record, "overrides": TYPED}), encoding="utf-8")
    return read_run(folder)


def test_the_hub_reads_the_card(run):
    from huggingface_hub import DatasetCard

    (run.folder / names.CARD).write_text(data_card(run), encoding="utf-8")
    card = DatasetCard.load(run.folder / names.CARD)
    assert card.data.license == "apache-2.0"  # the starter corpus'
    assert card.data.language == ["en"]
    assert card.data.size_categories == ["n<1K"]
    assert card.data.task_categories == ["text-generation"]
    assert "task-specificity" in card.data.tags


def test_the_folder_loads_as_a_data_set(run, tmp_path, monkeypatch):
    from datasets import load_dataset

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (run.folder / names.CARD).write_text(data_card(run), encoding="utf-8")
    (run.folder / names.SCORED).write_text('{"another": "shape"}\n', encoding="utf-8")
    rows = load_dataset(str(run.folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert [dict(row) for row in rows] == list(names.read_lines(run.folder / names.SELECTED))
    assert len(rows) == run.selection.num_kept


def test_what_the_card_says(run):
    text = data_card(run)
    for said in ("8 of 24 rows, chosen by TSS++ (E)", "mixed, K = 3: 24 generated, 48 retrieved", "What isn't known"):
        assert said in text
    assert "| method | tss\\_pp\\_exp (" in text
    assert "+37.5 (\\[+5.0, +65.0])" in text
    assert "4 of 8 rows; by chance 3 (1 to 5)" in text


def test_making_it_again_takes_what_bears_on_the_selection(run):
    """Neither addresses and folders of the machine nor what came after the selection."""
    command = re.search(r"```sh\n(.*)\n```", data_card(run))[1]
    assert command == (
        "python -m tss_lab +experiment=quickstart dataset.path=rows.jsonl rho=0.333 method=tss_pp_exp "
        "model.path=own/model seed=0 'stages=[dataset,alternatives,likelihoods,scores,selection]'"
    )


def test_hostile_data_stay_text(tmp_path):
    """Names and values that look like YAML, HTML, tables, fences or links are shown as they are."""
    hostile = f"---\nlicense: mit\n---\n# {HOSTILE} | `x` ```\n[a](javascript:b)"
    text = data_card(full_run(tmp_path / "runs", hostile))
    front, body = text.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(front)["license"] == "apache-2.0"
    assert not re.search(r"(?<!\\)<", body.replace("p < 0.05", ""))
    assert not re.search(r"(?<!\\)\[a\]\(", body)
    assert len(re.findall("^# ", body, flags=re.M)) == 1
    rows = [line for line in body.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) in (3, 7) for line in rows)


def test_a_selection_without_a_likelihood_or_a_licence(tmp_path):
    """The card of a random choice names no model."""
    given = full_run(tmp_path / "other", "plain")
    config = run_config(tmp_path / "runs", "a", "method=random", "dataset=jsonl", "dataset.path=rows.jsonl")
    run = read_run(write_folder(config, examples=given.examples, selection=given.selection))
    text = data_card(run)
    assert "license: unknown" in text
    assert "scored by" not in text
    assert "The licence of the source isn't stated" in text
    assert "which `tss_lab.config.RunConfig` reads" in text


def test_the_table_of_shifts_goes_to_files(run):
    records = shifts_table(run.audit).records()
    assert records[1]["difference"] == -0.1875
    assert (records[0]["keeps_kept"], records[0]["keeps_dropped"]) == (4, 2)


def test_the_terminal_has_three_lines_at_most(run):
    rows = summary(run)
    assert [name for name, _ in rows] == ["more among the kept", "shared with the longest outputs"]
    assert rows[0][1].endswith("+37.5 points [+5.0, +65.0]")
