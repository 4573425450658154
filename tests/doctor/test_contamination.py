"""Benchmark items in the data: the words as lm-eval's decontamination makes them, and planted items."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout

import pytest

from tests.made_up import run_config
from tss_lab.doctor.contamination import benchmark_items, find_items, ngrams
from tss_lab.doctor.copies import words
from tss_lab.evaluation import items as item_source
from tss_lab.evaluation.items import BenchmarkItem, read_items
from tss_lab.types import Example

QUESTION = "Which of these planets is the closest to the sun and has no moon of its own at all?"
ITEM = BenchmarkItem("ARC-Challenge", "arc_challenge, row 1", QUESTION, ("Mercury", "Mars"))
SHORT = BenchmarkItem("MMLU", "mmlu_anatomy, row 1", "Where is it?", ("here", "there"))


def example(name, instruction, output):
    return Example(name, instruction, "", output)


@pytest.mark.parametrize("text", [QUESTION, "One, two; three... FOUR-five (six) seven\teight\nnine ten: it's 11,000!"])
@pytest.mark.parametrize("size", [2, 13])
def test_sequences_are_those_of_lm_eval(text, size):
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # it prints that it has no C++
        from lm_eval.decontamination.janitor import Janitor, word_ngrams
    assert list(ngrams(words(text), size)) == list(word_ngrams(Janitor().normalize_string(text), size))


def test_an_item_is_found_whole_in_part_or_not():
    whole = example("w", f"Answer this. {QUESTION}", "Mercury")
    part = example("p", "Say which.", "They said: which of these planets is the closest to the sun and has no MOON.")
    twelve = example("t", "Say which.", "which of these planets is the closest to the sun and has")
    found = find_items([ITEM, SHORT], [twelve, whole, part], 13)
    assert [(one.example.example_id, one.whole) for one in found.overlaps] == [("w", True), ("p", False)]
    assert found.num_too_short == 1
    finding = benchmark_items(found)
    assert finding.status == "failure"
    assert finding.figures["example_ids"] == ["w", "p"]
    assert "13 words in a row with the data: 1 of 2 (ARC-Challenge 1), 1 of them whole, in 2 of 3 rows" in finding.text
    assert "arc_challenge, row 1, in w “Answer this. Which of these planets is t…”" in finding.text
    assert benchmark_items(find_items([ITEM], [part], 13)).status == "warning"
    assert benchmark_items(find_items([ITEM, SHORT], [twelve], 13)).status == "ok"


def test_a_choice_counts_behind_its_question():
    item = BenchmarkItem(
        "HellaSwag", "hellaswag, row 1", "A man sits on a roof. He", ("starts to pull up old roofing.",)
    )
    row = example("a", "Go on: A man sits on a roof. He", "starts to pull up old roofing.")
    assert find_items([item], [row], 13).overlaps[0].whole


def test_the_demonstration_items_are_read(tmp_path):
    config = run_config(tmp_path / "runs", "a", "eval=mini", "eval.limit=3").eval
    found = read_items(config)
    assert {item.benchmark.removesuffix("-style demonstration items") for item in found} == {
        "ARC-Challenge", "MMLU", "HellaSwag", "TruthfulQA-MC1",
    }  # fmt: skip
    assert all(item.question and len(item.choices) > 1 for item in found)
    assert len({item.place for item in found}) == len(found)


def test_items_of_the_hub_come_as_lm_eval_loads_them(tmp_path, monkeypatch):
    """In the Hub's schemas; the tasks of one benchmark don't go to another."""
    rows = [{"question": "Where?", "choices": ["a", "b"], "answer": 0}]

    class Task:
        dataset = {"test": rows}  # noqa: RUF012

    monkeypatch.setattr(
        "tss_lab.evaluation.harness.load_tasks", lambda config: {"tasks": {"mmlu_anatomy": Task, "other": Task}}
    )
    config = run_config(tmp_path / "runs", "a", "eval=paper", "eval.benchmarks=[mmlu]").eval
    assert read_items(config) == [BenchmarkItem("MMLU", "mmlu_anatomy, row 1", "Where?", ("a", "b"))]


def test_a_mirror_is_read(tmp_path):
    folder = tmp_path / "mirror" / "truthfulqa_mc1"
    folder.mkdir(parents=True)
    targets = {"choices": ["yes", "no"], "labels": [1, 0]}
    lines = [
        json.dumps({"question": f"Is it {n}?\u2028", "mc1_targets": targets}, ensure_ascii=False) for n in range(3)
    ]
    (folder / "validation.jsonl").write_text("\n".join(lines), encoding="utf-8")
    mirror = f"eval.mirror={tmp_path / 'mirror'}"
    config = run_config(tmp_path / "runs", "a", "eval=paper", "eval.benchmarks=[truthfulqa_mc1]", mirror).eval
    assert [item.question for item in read_items(config)] == ["Is it 0?", "Is it 1?", "Is it 2?"]
    assert item_source._texts("truthfulqa_mc1", json.loads(lines[0]))[1] == ["yes", "no"]
