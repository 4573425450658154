"""What evaluation will need is found out before it: files to their last row, subjects, the Hub's cache."""

import json
import shutil
from pathlib import Path

import pytest

from tss_lab.config import EvalConfig
from tss_lab.errors import EvaluationError
from tss_lab.evaluation.benchmarks import BENCHMARKS, MINI_FOLDER, MMLU_SUBJECTS
from tss_lab.evaluation.check import check_benchmarks

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "benchmarks"


@pytest.fixture
def mirror(tmp_path):
    """All that eval=paper needs, made of the demonstration items."""
    folder = shutil.copytree(MINI_FOLDER, tmp_path / "mirror")
    for subject in set(MMLU_SUBJECTS) - {path.name for path in (folder / "mmlu").iterdir()}:
        shutil.copytree(MINI_FOLDER / "mmlu" / "astronomy", folder / "mmlu" / subject)
    return folder


def paper(mirror, *names, limit=None):
    return EvalConfig(name="paper", mirror=str(mirror), benchmarks=list(names or BENCHMARKS), limit=limit)


def rewritten(path, change):
    """The file with its first row changed."""
    first, *others = path.read_bytes().split(b"\n")
    row = json.loads(first)
    change(row)
    path.write_bytes(b"\n".join([json.dumps(row, ensure_ascii=False).encode(), *others]))


def test_items_are_counted_under_the_limit(mirror):
    forty = {"arc_challenge": 40, "hellaswag": 40, "truthfulqa_mc1": 40}
    assert check_benchmarks(paper(mirror)) == {**forty, "mmlu": 57 * 10}
    assert check_benchmarks(paper(mirror, "mmlu", "hellaswag", limit=3)) == {"mmlu": 57 * 3, "hellaswag": 3}
    assert check_benchmarks(paper(mirror, "hellaswag", limit=1000)) == {"hellaswag": 40}
    assert check_benchmarks(EvalConfig(name="mini")) == {**forty, "mmlu": 40}
    assert check_benchmarks(EvalConfig(name="none")) == {}


@pytest.mark.parametrize("letter", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_no_letter_but_a_line_feed_ends_a_row(mirror, letter):
    """Real MMLU has U+0085. JSON itself forbids the ones below U+0020 unless they are written as \\uXXXX."""
    path = mirror / "mmlu" / "management" / "test.jsonl"
    rewritten(path, lambda row: row.update(question=f"What is{letter}management?"))
    assert check_benchmarks(paper(mirror, "mmlu", limit=1)) == {"mmlu": 57}


def test_a_raw_control_character_costs_its_own_row(mirror):
    path = mirror / "hellaswag" / "validation.jsonl"
    path.write_bytes(path.read_bytes().replace(b"ribbon", b"rib\x1cbon", 1))
    (number,) = [n for n, line in enumerate(path.open("rb"), start=1) if b"\x1c" in line]
    with pytest.raises(EvaluationError, match=rf"^row {number} of .*jsonl is not JSON \(Invalid control char"):
        check_benchmarks(paper(mirror, "hellaswag"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no items"),
        (b"\n \n", "holds no items"),
        (b"{}\n", "row 1 .* lacks question, choices, answerKey"),
        (b'{"question": "x", "choices": {}, "answerKey": "A"}\n', "row 1 .* has no lists of texts"),
        (b"\n\n" + b'{"quest', "row 3 .* is not JSON"),
        (b"[1]", "row 1 .* lacks question"),
        (b'{"question": "\xff"}', "row 1 .* is not UTF-8"),
    ],
)
def test_a_bad_row_is_named(mirror, content, message):
    (mirror / "arc_challenge" / "test.jsonl").write_bytes(content)
    with pytest.raises(EvaluationError, match=message):
        check_benchmarks(paper(mirror))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("arc_challenge/test.jsonl", {"answerKey": "Z"}, "has answerKey 'Z', which is no label"),
        ("arc_challenge/test.jsonl", {"choices": {"text": ["a", "b"], "label": ["A", "B", "C"]}}, "2 choices and 3"),
        ("mmlu/virology/test.jsonl", {"choices": ["a", "b", "c"]}, "has no list of 4 texts in choices"),
        ("mmlu/virology/test.jsonl", {"answer": "B"}, "has no number in answer"),
        ("mmlu/virology/dev.jsonl", {"answer": 4}, "has answer 4, and choices 0 to 3"),
        ("hellaswag/validation.jsonl", {"label": ""}, "has label '', no number"),
        ("hellaswag/validation.jsonl", {"label": 7}, "has label 7, and choices 0 to 3"),
        ("hellaswag/validation.jsonl", {"ctx_b": 3}, "has no texts in activity_label"),
        ("hellaswag/validation.jsonl", {"endings": "a"}, "has no list of texts in endings"),
        ("truthfulqa_mc1/validation.jsonl", {"mc1_targets": {"choices": ["a", "b"], "labels": [0, 1]}}, "right choice"),
        ("truthfulqa_mc1/validation.jsonl", {"mc1_targets": {"choices": ["a", "b"], "labels": [1]}}, "of one length"),
    ],
)
def test_what_would_be_no_item_is_named(mirror, file, change, message):
    rewritten(mirror / file, lambda row: row.update(change))
    with pytest.raises(EvaluationError, match=rf"^row 1 of {mirror / file} .*{message}.*; mend or remove it$"):
        check_benchmarks(paper(mirror))


def test_a_mirror_that_lacks_subjects_or_their_files(mirror):
    (mirror / "mmlu" / "virology" / "dev.jsonl").unlink()
    with pytest.raises(EvaluationError, match=r"virology/dev\.jsonl is missing; .* leave mmlu out"):
        check_benchmarks(paper(mirror))
    for subject in MMLU_SUBJECTS[4:]:
        shutil.rmtree(mirror / "mmlu" / subject)
    with pytest.raises(EvaluationError, match=r"lacks 53 of the 57 subjects of MMLU \(clinical_knowledge, .*\.\.\.\)"):
        check_benchmarks(paper(mirror))


def test_what_is_no_subject_is_left_alone(mirror):
    (mirror / "mmlu" / "auxiliary_train").mkdir()
    assert check_benchmarks(paper(mirror, "mmlu")) == {"mmlu": 570}


def test_the_hub_offline_must_be_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    config = EvalConfig(name="paper", benchmarks=["hellaswag", "mmlu"], limit=100)

    def cached(folder, split, count):
        place = tmp_path / folder / "0.0.0" / "0a1b"
        place.mkdir(parents=True)
        content = {"splits": {split: {"num_examples": count}}}
        (place / "dataset_info.json").write_text(json.dumps(content))

    with pytest.raises(EvaluationError, match=r"^HellaSwag \(Rowan/hellaswag\) is not in .* offline .* eval\.mirror$"):
        check_benchmarks(config)
    cached("Rowan___hellaswag/default", "validation", 10_042)
    for subject in MMLU_SUBJECTS[:-1]:
        cached(f"cais___mmlu/{subject}", "test", 150)
    with pytest.raises(EvaluationError, match=r"^MMLU \(cais/mmlu\) is not in the cache"):
        check_benchmarks(config)
    cached(f"cais___mmlu/{MMLU_SUBJECTS[-1]}", "test", 50)
    assert check_benchmarks(config) == {"hellaswag": 100, "mmlu": 56 * 100 + 50}


def test_the_hub_is_asked_for_what_is_not_in_the_cache(tmp_path, monkeypatch):
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "0")
    asked = []
    monkeypatch.setattr(HfApi, "dataset_info", lambda _self, name, **_: asked.append(name))
    assert check_benchmarks(EvalConfig(name="paper")) == {}
    assert asked == [benchmark.hub_id for benchmark in BENCHMARKS.values()]

    def unreachable(*_args, **_settings):
        raise HTTPError("no route\nto host")

    monkeypatch.setattr(HfApi, "dataset_info", unreachable)
    with pytest.raises(EvaluationError, match=r"hub can't be asked for it \(no route\); check the network, or give"):
        check_benchmarks(EvalConfig(name="paper"))


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real benchmark samples are not beside the checkout")
def test_the_real_items():
    items = check_benchmarks(paper(SHARED))
    assert items == {"arc_challenge": 572, "mmlu": 7032, "hellaswag": 500, "truthfulqa_mc1": 409}
