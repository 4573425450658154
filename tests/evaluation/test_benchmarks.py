"""Names on pages, files of a mirror, and errors that say which file and row."""

import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from tss_lab.config import EvalConfig
from tss_lab.errors import EvaluationError
from tss_lab.evaluation.benchmarks import (
    BENCHMARKS,
    MINI_FOLDER,
    MMLU_SUBJECTS,
    display_name,
    local_files,
    local_folder,
    result_label,
    source_identity,
    total_name,
)


@pytest.fixture
def mirror(tmp_path):
    return shutil.copytree(MINI_FOLDER, tmp_path / "mirror")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_mini_items_are_never_called_by_the_benchmark_alone(name):
    mini, paper = EvalConfig(name="mini"), EvalConfig(name="paper")
    assert display_name(mini, name).endswith("demonstration items")
    assert display_name(paper, name) == BENCHMARKS[name].display_name
    assert "demonstration items" in total_name(mini)
    assert "demonstration items" in result_label(mini)


def test_the_mini_items_have_forty_of_each():
    for name in BENCHMARKS:
        rows = [
            line
            for files in local_files(MINI_FOLDER, name).values()
            for split, path in files.items()
            if split != "dev"
            for line in path.open(encoding="utf-8")
        ]
        assert len(rows) == 40
        assert len(set(rows)) == 40


def test_a_repeated_benchmark_counts_once():
    assert EvalConfig(name="mini", benchmarks=["mmlu", "mmlu"]).benchmarks == ["mmlu"]


def test_identity_follows_the_content_of_a_mirror_not_its_place(mirror, tmp_path):
    before = source_identity(EvalConfig(name="paper", mirror=str(mirror)))
    moved = mirror.rename(tmp_path / "moved")
    assert source_identity(EvalConfig(name="paper", mirror=str(moved))) == before
    path = moved / "hellaswag" / "validation.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("ribbon", "string"), encoding="utf-8")
    assert source_identity(EvalConfig(name="paper", mirror=str(moved))) != before


@pytest.mark.parametrize("name", ["mini", "none"])
def test_settings_that_would_mean_nothing_are_refused(name):
    with pytest.raises(ValidationError, match=f"eval={name} reads no eval.mirror; take eval=paper"):
        EvalConfig(name=name, mirror="somewhere")
    with pytest.raises(ValidationError, match=r"eval=none has no benchmark that eval.limit could cut"):
        EvalConfig(name="none", limit=2)


def test_the_subjects_are_those_of_the_official_tasks():
    import importlib.util

    (folder,) = importlib.util.find_spec("lm_eval").submodule_search_locations
    official = {path.stem.removeprefix("mmlu_") for path in Path(folder).glob("tasks/mmlu/default/mmlu_*.yaml")}
    assert sorted(official) == list(MMLU_SUBJECTS)


def test_a_mirror_that_is_no_directory(tmp_path):
    with pytest.raises(EvaluationError, match="is not a directory"):
        local_folder(EvalConfig(name="paper", mirror=str(tmp_path / "nowhere")))


def test_a_missing_file_is_named_with_the_way_around_it(mirror):
    (mirror / "hellaswag" / "validation.jsonl").unlink()
    with pytest.raises(
        EvaluationError, match=r"hellaswag.validation\.jsonl is missing.*eval\.benchmarks=\[arc_challenge,"
    ):
        local_files(mirror, "hellaswag")


def test_no_subject_folders(mirror):
    shutil.rmtree(mirror / "mmlu")
    with pytest.raises(EvaluationError, match="no folder of a subject"):
        local_files(mirror, "mmlu")
