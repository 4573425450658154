"""Readers with a form of their own: conversations, Natural Instructions, the starter corpus; the real samples."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tss_lab.alternatives.generators.starter import WRITTEN
from tss_lab.config import DatasetConfig
from tss_lab.data import load_examples
from tss_lab.data.readers.natural_instructions import _task_table
from tss_lab.data.readers.starter import STARTER
from tss_lab.errors import ConfigError, DataError
from tss_lab.runs.names import read_lines
from tss_lab.statistics import auc

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real samples are not beside the checkout")

# Tasks a category in Table 1 of the paper.
TABLE_1 = {
    "Translation": 394, "Question Answering": 207, "Program Execution": 90, "Sentiment Analysis": 75,
    "Question Generation": 83, "Text Matching": 43, "Text Categorization": 46, "Commonsense Classification": 24,
    "Toxic Language Detection": 40, "Fill in The Blank": 22, "Textual Entailment": 27, "Information Extraction": 34,
    "Text Completion": 21, "Sentence Perturbation": 15, "Title Generation": 19, "Wrong Candidate Generation": 27,
    "Sentence Composition": 20, "Question Understanding": 16, "Pos Tagging": 10, "Summarization": 16,
}  # fmt: skip


def of_yaml(name: str, **changes: Any) -> DatasetConfig:
    content = yaml.safe_load((ROOT / "conf" / "dataset" / f"{name}.yaml").read_text(encoding="utf-8"))
    return DatasetConfig.model_validate({**content, **changes})


@pytest.mark.parametrize("path", sorted((ROOT / "conf" / "dataset").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_yaml_is_a_complete_config(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(content) == set(DatasetConfig.model_fields)
    given = {**content, "path": "some/where.jsonl"} if content["name"] is None else content
    assert DatasetConfig.model_validate(given).name == (path.stem if content["name"] else "where")


def test_both_forms_of_conversations(tmp_path: Path) -> None:
    openai = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": [{"type": "text", "text": "And in "}, {"type": "text", "text": "French?"}]},
            {"role": "assistant", "content": "Salut."},
        ]
    }
    sharegpt = {"conversations": [{"from": "human", "value": "Hello."}, {"from": "gpt", "value": "Hi."}]}
    (tmp_path / "openai.json").write_text(json.dumps([openai]))
    (tmp_path / "sharegpt.json").write_text(json.dumps([sharegpt]))
    (long,) = load_examples(of_yaml("chat", path=str(tmp_path / "openai.json"))).examples
    assert (long.instruction, long.output) == ("And in French?", "Salut.")
    assert long.input == "System: Be brief.\n\nUser: Hello.\n\nAssistant: Hi."
    (short,) = load_examples(of_yaml("chat", path=str(tmp_path / "sharegpt.json"))).examples
    assert (short.instruction, short.input, short.output) == ("Hello.", "", "Hi.")


def test_conversations_have_categories_too(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}]
    path = tmp_path / "chat.jsonl"
    path.write_text(json.dumps({"talk": turns, "category": "greeting", "topic": "hello"}))
    fields = {"messages": "talk", "category": "category"}
    (example,) = load_examples(of_yaml("chat", path=str(path), fields=fields)).examples
    assert example.category == "greeting"
    (example,) = load_examples(of_yaml("chat", path=str(path), fields={**fields, "category": "topic"})).examples
    assert example.category == "hello"
    with pytest.raises(DataError, match=r"no field 'topci', which dataset.fields.category names; did you mean 'topic'"):
        load_examples(of_yaml("chat", path=str(path), fields={**fields, "category": "topci"}))
    with pytest.raises(ConfigError, match=r"dataset.fields.output is not a role; map messages, category"):
        load_examples(of_yaml("chat", path=str(path), fields={"output": "talk"}))
    path.write_text(json.dumps({"instruction": "Say it.", "output": "it"}))
    with pytest.raises(DataError, match=r"no list of messages \(instruction and output are read with dataset=jsonl\)"):
        load_examples(of_yaml("chat", path=str(path)))


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([{"role": "user", "content": "Hello."}], "1 turns"),
        ([{"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Hello."}], "last turn is the user's"),
        ([{"role": "assistant", "content": "Hi."}, {"role": "assistant", "content": "Hi."}], "before the last"),
        ([{"role": "user", "content": "Hello."}, {"role": "wizard", "content": "Hi."}], "from 'wizard'"),
        ([{"role": "user", "content": "Hello."}, {"role": "assistant", "content": None}], "no text"),
        ("Hello.", "no list"),
    ],
)
def test_what_is_no_conversation(tmp_path: Path, messages: Any, fault: str) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text(json.dumps({"messages": messages}))
    with pytest.raises(DataError, match=f"row 1 of chat.jsonl: .*{fault}"):
        load_examples(of_yaml("chat", path=str(path)))
    path.write_text(json.dumps({"dialogue": []}))
    with pytest.raises(DataError, match=r"set dataset.fields.messages to one of dialogue"):
        load_examples(of_yaml("chat", path=str(path)))


def task_file(folder: Path, number: int, category: str, language: str, count: int) -> None:
    content = {
        "Definition": [f"Do task {number}."],
        "Categories": [category, "Misc."],
        "Output_language": [language],
        "Instances": [
            {"id": f"{number}-{at}", "input": f"in {at}", "output": [f"out {at}", "another"]} for at in range(count)
        ],
    }
    (folder / f"task{number:03d}_x.json").write_text(json.dumps(content))


def test_task_files_by_category_language_and_cap(tmp_path: Path) -> None:
    task_file(tmp_path, 1, "Question Answering", "English", 10)
    task_file(tmp_path, 2, "Translation", "German", 2)
    task_file(tmp_path, 3, "Sentiment Analysis", "Hindi", 3)
    task_file(tmp_path, 4, "Dialogue Generation", "English", 4)
    dataset = load_examples(of_yaml("ni20", path=str(tmp_path), per_task=5))
    assert Counter(example.category for example in dataset.examples) == {"Question Answering": 5, "Translation": 2}
    assert dict(dataset.check.filtered) == {
        "beyond 5 a task": 5,
        "output not in English": 3,
        "category not asked for": 4,
    }
    assert dataset.check.rows_read == 19
    with pytest.raises(
        DataError, match=r"categories are Question Answering 10, Dialogue Generation 4, Sentiment .* 3, T"
    ):
        load_examples(of_yaml("ni20", path=str(tmp_path), categories=["foo"]))
    first = dataset.examples[0]
    assert (first.instruction, first.output.split()[0], first.extra["task"]) == ("Do task 1.", "out", "task001_x")
    (tmp_path / "task005_x.json").write_text('{"Definition": []}')
    with pytest.raises(DataError, match=r"task005_x.json is not a task file"):
        load_examples(of_yaml("ni20", path=str(tmp_path)))


def test_task_files_have_no_columns_to_separate(tmp_path: Path) -> None:
    task_file(tmp_path, 1, "Question Answering", "English", 10)
    with pytest.raises(ConfigError, match=r"dataset.separator is for CSV .*/task001_x.json is none; leave it out"):
        load_examples(of_yaml("ni20", path=str(tmp_path), separator=","))


def test_rows_of_the_hub_get_their_category_from_the_task(tmp_path: Path) -> None:
    names = [
        "task582_naturalquestion_answer_generation",
        "task117_spl_translation_en_de",
        "task184_break_generate_question",
        "task110_x",
    ]
    rows = [
        {"task_name": name, "id": f"{name}-{at}", "definition": "Do it.", "inputs": f"in {name} {at}", "targets": "out"}
        for name in names
        for at in range(3)
    ]
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "part.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = load_examples(of_yaml("ni20", path=str(tmp_path), per_task=2))
    assert Counter(example.category for example in dataset.examples) == {
        "Question Answering": 2,
        "Translation": 2,
        "Question Generation": 2,
    }
    assert dict(dataset.check.filtered) == {"category not asked for": 3, "beyond 2 a task": 3}


def test_the_task_table_counts_what_table_1_of_the_paper_counts() -> None:
    table = _task_table()
    assert Counter([*table.by_number.values(), *table.by_name.values()]) == TABLE_1


def test_the_starter_corpus() -> None:
    dataset = load_examples(of_yaml("starter", limit=64, stratify=True, held_out=16))
    assert dataset.check.rows_read == 240
    assert set(dataset.check.categories) == set(TABLE_1)
    assert not dataset.check.set_aside
    kinds = Counter(example.extra["specificity"] for example in dataset.examples)
    assert len(dataset.examples) == 64
    assert set(Counter(example.category for example in dataset.examples).values()) <= set(range(1, 9))
    assert len(kinds) == 2
    assert min(kinds.values()) >= 28
    assert all(example.extra["why"] for example in dataset.examples)


@needs_shared
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "place", "rows", "categories"),
    [("alpaca", "alpaca/alpaca_random.json", 600, 1), ("dolly", "dolly", 600, 8), ("ni20", "ni/tasks", 2000, 20)],
)
def test_the_papers_corpora(name: str, place: str, rows: int, categories: int) -> None:
    dataset = load_examples(of_yaml(name, path=str(SHARED / place), limit=100))
    assert dataset.check.rows_read == rows
    assert dataset.check.kept + sum(dataset.check.set_aside.values()) == rows
    assert len(dataset.check.categories) == categories
    assert len(dataset.examples) == 100
    assert any(example.input for example in dataset.examples)


@needs_shared
@pytest.mark.shared_data
def test_the_task_table_agrees_with_the_task_files() -> None:
    table = _task_table()
    for path in sorted((SHARED / "ni" / "tasks").glob("*.json")):
        task = json.loads(path.read_text(encoding="utf-8"))
        assert table.category(path.stem) == task["Categories"][0]
        assert bool(table.languages(path.stem)) == (task["Output_language"] != ["English"])


def test_the_starter_corpus_gives_nothing_away() -> None:
    """Two rows an input, one of each kind; words don't tell them apart; four alternatives an input."""
    rows = list(read_lines(STARTER))
    kinds = Counter((row["input"], row["specificity"]) for row in rows)
    assert set(kinds.values()) == {1}
    assert len({row["input"] for row in rows}) == len(rows) // 2 == 120
    words = [len(row["output"].split()) for row in rows]
    assert auc(words, [row["specificity"] == "specific" for row in rows]).value == pytest.approx(0.5, abs=0.03)
    written = list(read_lines(WRITTEN))
    assert {row["input"] for row in written} == {row["input"] for row in rows}
    assert {len(row["alternatives"]) for row in written} == {4}
