"""Rows in, checked examples out: every source, every bad row, the sample."""

from __future__ import annotations

import csv
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import polars as pl
import pytest
from pydantic import ValidationError

from tss_lab.config import DatasetConfig
from tss_lab.data import load_examples, special_token_rows
from tss_lab.errors import ConfigError, DataError

FIELDS = {"instruction": "instruction", "input": "input", "output": "output"}


def row(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {"instruction": f"Say the number {number}.", "input": "", "output": str(number), **changes}


def config(path: Path | None = None, reader: str = "records", **changes: Any) -> DatasetConfig:
    settings: dict[str, Any] = {"name": "mine", "reader": reader, "path": None if path is None else str(path)}
    return DatasetConfig.model_validate({**settings, "fields": FIELDS if reader == "records" else {}, **changes})


def jsonl(folder: Path, rows: list[Any], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in rows), encoding="utf-8")
    return path


def test_the_same_rows_from_every_kind_of_file(tmp_path: Path) -> None:
    rows = [row(number, input='a,b\n"c"' if number == 3 else "") for number in range(5)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "lines.json").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "wrapped.json").write_text(json.dumps({"version": 1, "data": rows}))
    pl.DataFrame(rows).write_parquet(tmp_path / "rows.parquet")
    for name, delimiter in (("rows.csv", ","), ("rows.tsv", "\t")):
        with (tmp_path / name).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    paths = [
        jsonl(tmp_path, rows),
        *(
            tmp_path / name
            for name in ("rows.json", "lines.json", "wrapped.json", "rows.parquet", "rows.csv", "rows.tsv")
        ),
    ]
    first, *others = [load_examples(config(path)).examples for path in paths]
    assert [example.input for example in first] == [entry["input"] for entry in rows]
    assert all(other == first for other in others)


def test_a_directory_gives_the_files_of_one_split(tmp_path: Path) -> None:
    for split, numbers in {"train": (1, 2), "test": (3,)}.items():
        (tmp_path / "data").mkdir(exist_ok=True)
        pl.DataFrame([row(number) for number in numbers]).write_parquet(
            tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        )
    (tmp_path / "dataset_infos.json").write_text("{}")
    assert len(load_examples(config(tmp_path)).examples) == 2
    assert len(load_examples(config(tmp_path, split="test")).examples) == 1
    with pytest.raises(DataError, match=r"no split 'validation'.*test, train"):
        load_examples(config(tmp_path, split="validation"))


def test_fields_of_other_names(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path, [{"q": "Add.", "context": "1 2", "a": "3", "kind": "sum"}, {"q": "Subtract.", "a": "1", "kind": None}]
    )
    mapping = {"instruction": "q", "input": "context", "output": "a", "category": "kind"}
    first, second = load_examples(config(path, fields=mapping)).examples
    assert (first.instruction, first.input, first.output, first.category) == ("Add.", "1 2", "3", "sum")
    assert (second.input, second.category) == ("", None)


@pytest.mark.parametrize("role", ["instruction", "input", "output", "category"])
def test_a_mapping_that_names_a_field_which_is_not_there(tmp_path: Path, role: str) -> None:
    path = jsonl(tmp_path, [row(1)])
    with pytest.raises(
        DataError, match=rf"no field 'outptu', which dataset.fields.{role} names; did you mean 'output'"
    ):
        load_examples(config(path, fields={**FIELDS, role: "outptu"}))


def test_an_input_and_a_category_that_are_not_mapped_come_under_their_own_names(tmp_path: Path) -> None:
    rows = [row(1, input="one", category="sum"), row(2, input="two", category=None)]
    path = jsonl(tmp_path, rows)
    for fields in ({}, {**FIELDS, "category": "category"}):
        examples = load_examples(config(path, fields=fields)).examples
        assert [(example.input, example.category) for example in examples] == [("one", "sum"), ("two", None)]
    examples = load_examples(config(path, fields={"input": None, "category": None})).examples
    assert [(example.input, example.category) for example in examples] == [("", None)] * 2
    bare = jsonl(tmp_path, [{"instruction": "Say it.", "output": "it"}], "bare.jsonl")
    for fields in ({}, {"category": "category"}):
        assert load_examples(config(bare, fields=fields)).check.categories == {"none": 1}
    with pytest.raises(DataError, match=r"no field 'input', which dataset.fields.input names"):
        load_examples(config(bare, fields={"input": "input"}))


@pytest.mark.parametrize(
    ("name", "separator", "said"),
    [("rows.csv", ",", ""), ("rows.csv", ";", "semicolons"), ("rows.csv", "\t", "tabs"), ("rows.csv", "|", "bars"),
     ("rows.tsv", "\t", ""), ("rows.tsv", ";", "semicolons")],
)  # fmt: skip
def test_a_csv_is_read_by_the_separator_that_it_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
    name: str, separator: str, said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(logging.getLogger("tss_lab"), "propagate", True)  # the command line turns it off
    caplog.set_level(logging.INFO, "tss_lab")
    texts = ("one, two; three\tfour", 'say "five|six"\nseven')
    rows = [row(number, input=texts[number % 2]) for number in range(8)]
    with (tmp_path / name).open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    found = load_examples(config(tmp_path / name))
    assert [example.input for example in found.examples] == [entry["input"] for entry in rows]
    lines = [record.getMessage() for record in caplog.records if "are separated by" in record.getMessage()]
    assert lines == ([f"the columns of {name} are separated by {said}"] if said in ("tabs", "semicolons") else
                     ["the columns of rows.csv are separated by vertical bars"] if said else [])  # fmt: skip
    assert load_examples(config(tmp_path / name, separator=separator)).examples == found.examples


def test_unquoted_text_and_a_bad_row_do_not_mislead_the_search_for_a_separator(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("instruction;output\nName it; yes, this, one.;a\nSay it.;b\nAsk it, please.;c\n")
    check = load_examples(config(path, fields={}, on_bad_row="skip")).check
    assert (check.kept, dict(check.set_aside)) == (2, {"wrong number of columns": 1})
    path.write_text("instruction,output\nName; it.,a\nSay; it; now.,b,c\n")
    assert load_examples(config(path, fields={}, on_bad_row="skip")).check.kept == 1


def test_a_separator_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("instruction^output\nSay it.^it\n")
    with pytest.raises(DataError, match=r"no field 'instruction'.*to one of instruction\^output"):
        load_examples(config(path, fields={}))
    assert load_examples(config(path, fields={}, separator="^")).examples[0].output == "it"
    assert config(path, separator="tab").separator == config(path, separator="\\t").separator == "\t"
    for wrong in ("", "ab", '"', "\n"):
        with pytest.raises(ValidationError, match=r"is one character, or comma, semicolon, tab or pipe"):
            config(path, separator=wrong)
    with pytest.raises(ConfigError, match=r"for CSV and TSV files, and .*rows.jsonl is none; leave it out"):
        load_examples(config(jsonl(tmp_path, [row(1)]), separator=";"))


@pytest.mark.parametrize("name", ["messages", "conversations", "dialogue"])
def test_conversations_are_led_to_their_reader(tmp_path: Path, name: str) -> None:
    turns = [{"from": "human", "value": "Hello."}, {"from": "gpt", "value": "Hi."}]
    path = jsonl(tmp_path, [{"id": 1, name: turns}])
    with pytest.raises(DataError) as caught:
        load_examples(config(path))
    assert str(caught.value) == (
        f"row 1 of rows.jsonl is a conversation (field '{name}'); read it with dataset=chat dataset.path={path}"
    )


def test_the_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    from huggingface_hub.errors import HTTPError

    for error, said in ((HTTPError("no route\nto host"), "no route"), (ConnectionError(), "ConnectionError")):
        monkeypatch.setattr(datasets, "load_dataset", Mock(side_effect=error))
        with pytest.raises(DataError, match=rf"can't read data set org/name .*: {said}\); check the network"):
            load_examples(config(None, hub_id="org/name"))


BAD = {
    "empty instruction": row(1, instruction=" "),
    "empty output": row(1, output="\n"),
    "wrong type": row(1, output=5),
    "missing field": {"instruction": "Say it."},
    "control characters": row(1, input="a\x00b"),
    "broken Unicode": row(1, output="\ud83d"),
    "longer than the limit": row(1, output="x" * 1_000_000),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_row_stops_or_is_counted_and_listed(tmp_path: Path, reason: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, [row(0), BAD[reason], row(2)])))
    with pytest.raises(DataError, match=r"row 2 of rows.jsonl: .*dataset.on_bad_row=skip$"):
        load_examples(config(path))
    dataset = load_examples(config(path, on_bad_row="skip"))
    assert len(dataset.examples) == 2
    assert dict(dataset.check.set_aside) == {reason: 1}
    assert [(aside.where, aside.reason) for aside in dataset.check.set_aside_rows] == [("row 2 of rows.jsonl", reason)]
    assert json.loads(json.dumps(dataset.check.as_dict()))["rows_read"] == 3


def test_the_sentence_names_row_fault_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_examples(config(jsonl(tmp_path, [row(0), row(1, output="")])))
    assert str(caught.value) == "row 2 of rows.jsonl: 'output' is empty; drop it, or set dataset.on_bad_row=skip"


def test_broken_utf8_and_broken_json_cost_their_line_only(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [
        json.dumps(row(0)).encode(),
        b'{"instruction": "Say \xff\xfe", "output": "x"}',
        b'{"instruction": ',
        b"[1]",
        json.dumps(row(4)).encode(),
    ]
    path.write_bytes(b"\n".join(lines))
    check = load_examples(config(path, on_bad_row="skip")).check
    assert dict(check.set_aside) == {"broken Unicode": 1, "not valid JSON": 1, "wrong type": 1}
    assert check.kept == 2


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv"])
def test_no_letter_but_a_line_feed_ends_a_row(tmp_path: Path, suffix: str) -> None:
    """A separator of paragraphs is honest text; a control character costs the row that it stands in, whole."""
    letters = ["\u2028", "\u2029", "\x85", "\x1c", "\x1d", "\x1e", "\x0b", "\x0c"]
    rows = [row(number, output=f"one{letter}two") for number, letter in enumerate(letters)]
    lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in rows)
    for letter in letters:  # as many writers leave them, raw
        lines = lines.replace(f"\\u{ord(letter):04x}", letter)
    if suffix == "csv":
        lines = "instruction,input,output\n"
        lines += "".join(f"{entry['instruction']},,{entry['output']}\n" for entry in rows)
    path = tmp_path / f"rows.{suffix}"
    path.write_bytes(lines.encode())
    dataset = load_examples(config(path, on_bad_row="skip"))
    assert [example.output for example in dataset.examples] == ["one\u2028two", "one\u2029two"]
    assert [(aside.where, aside.reason) for aside in dataset.check.set_aside_rows] == [
        (f"row {number} of rows.{suffix}", "control characters") for number in range(3, 9)
    ]


def test_honest_text_passes_unchanged(tmp_path: Path) -> None:
    texts = [
        "👩‍👩‍👧 family 🇮🇱",
        "שלום עולם \u200f(rtl)\u200e",
        "مرحبا",
        "tab\tand\nnew line\r\n",
        "naïve café — “quoted”",
        "日本語",
    ]
    dataset = load_examples(config(jsonl(tmp_path, [row(number, output=text) for number, text in enumerate(texts)])))
    assert [example.output for example in dataset.examples] == texts


def test_duplicates_are_set_aside_even_where_bad_rows_fail(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [row(1), row(2), row(1)])
    dataset = load_examples(config(path))
    assert (len(dataset.examples), dict(dataset.check.set_aside)) == (2, {"duplicate": 1})
    kept = load_examples(config(path, drop_duplicates=False)).examples
    assert len({example.example_id for example in kept}) == 3
    (aside,) = dataset.check.set_aside_rows
    assert (aside.where, aside.reason) == ("row 3 of rows.jsonl", "duplicate")
    assert aside.detail


def test_sources_that_give_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "object.json").write_text('{"a": 1}')
    (tmp_path / "broken.json").write_text('[{"a": 1},')
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "fake.parquet").write_text("hello")
    (tmp_path / "folder").mkdir()
    for name, message in {
        "empty.jsonl": "no usable row", "object.json": "not rows", "broken.json": "not valid JSON",
        "text.txt": "not a kind of file", "fake.parquet": "can't be read as Parquet", "folder": "holds no data file",
        "absent.jsonl": "is not there",
    }.items():  # fmt: skip
        with pytest.raises(DataError, match=message):
            load_examples(config(tmp_path / name))
    with pytest.raises(DataError, match="needs dataset\\.path"):
        load_examples(config())
    with pytest.raises(ConfigError, match=r"dataset.reader=nonsense .* take chat, natural_instructions, records, st"):
        load_examples(config(tmp_path, reader="nonsense"))


def test_a_reader_outside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_reader.py").write_text(
        "from tss_lab.data import RawRow\n\ndef rows(config):\n    yield RawRow('row 1', 'Say it.', '', config.name)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (example,) = load_examples(config(reader="my_reader.rows")).examples
    assert example.output == "mine"


def test_sample_and_held_out_depend_on_content_and_seed_only(tmp_path: Path) -> None:
    rows = [row(number, category="even" if number % 2 else "odd") for number in range(100)]
    settings: dict[str, Any] = {"limit": 10, "held_out": 20, "fields": {**FIELDS, "category": "category"}}
    one = load_examples(config(jsonl(tmp_path, rows), **settings))
    two = load_examples(config(jsonl(tmp_path, rows[::-1], "reversed.jsonl"), **settings))
    ids = {example.example_id for example in one.examples}
    held_out = {example.example_id for example in one.held_out}
    assert ids == {example.example_id for example in two.examples}
    assert held_out == {example.example_id for example in two.held_out}
    assert (len(ids), len(held_out), len(one.corpus)) == (10, 20, 80)
    assert not held_out & {example.example_id for example in one.corpus}
    other = load_examples(config(tmp_path / "rows.jsonl", **settings, seed=1))
    assert ids != {example.example_id for example in other.examples}
    # The held-out part doesn't move when the limit does.
    assert held_out == {
        example.example_id
        for example in load_examples(config(tmp_path / "rows.jsonl", **{**settings, "limit": 50})).held_out
    }
    with pytest.raises(ConfigError, match="leaves nothing"):
        load_examples(config(tmp_path / "rows.jsonl", held_out=100))


def test_strata_give_their_share(tmp_path: Path) -> None:
    rows = [row(number, category="rare" if number % 5 == 0 else "common") for number in range(50)]
    settings: dict[str, Any] = {"limit": 10, "stratify": True, "fields": {**FIELDS, "category": "category"}}
    for seed in range(3):
        examples = load_examples(config(jsonl(tmp_path, rows), **settings, seed=seed)).examples
        assert Counter(example.category for example in examples) == {"common": 8, "rare": 2}
    with pytest.raises(ConfigError, match="stratify_by names 'mood'"):
        load_examples(config(tmp_path / "rows.jsonl", **settings, stratify_by=["mood"]))


def test_the_check_says_what_came_in(tmp_path: Path) -> None:
    rows = [row(1, output="one two three"), row(2, output="one"), row(2, output="one")]
    check = load_examples(config(jsonl(tmp_path, rows))).check
    assert (check.rows_read, check.kept, check.used) == (3, 2, 2)
    assert check.length_quantiles["output_words"]["100%"] == 3.0
    assert check.categories == {"none": 2}
    assert "set aside, duplicate: 1" in check.summary()


def test_a_filter_that_matches_nothing_is_named(tmp_path: Path) -> None:
    fields = {**FIELDS, "category": "category"}
    path = jsonl(tmp_path, [row(number, category="sum" if number else "product") for number in range(3)])
    with pytest.raises(DataError, match=r"dataset.categories=\[foo\] leaves no .*categories are sum 2, product 1$"):
        load_examples(config(path, fields=fields, categories=["foo"]))
    with pytest.raises(DataError, match=r"carry no category; name the field with dataset.fields.category"):
        load_examples(config(path, fields={**FIELDS, "category": None}, categories=["foo"]))


def test_what_settings_mean_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("tss_lab"), "propagate", True)  # the command line turns it off
    fields = {**FIELDS, "category": "category"}
    path = jsonl(tmp_path, [row(number, category="sum") for number in range(3)])
    load_examples(config(path, fields=fields, categories=["sum"], stratify=True))
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    load_examples(config(path, fields=fields, categories=["SUM", "foo"]))
    assert "is of dataset.categories: foo" in caplog.text
    load_examples(config(path, fields={**FIELDS, "category": None}, stratify=True))
    assert "dataset.stratify=true finds no category" in caplog.text


def test_the_check_says_what_its_figures_are_of(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [row(number) for number in range(5)])
    assert "of all 5 kept rows" in load_examples(config(path, limit=2)).check.summary()
    assert "of all" not in load_examples(config(path)).check.summary()


def test_rows_that_spell_a_special_token_are_counted(tmp_path: Path, tiny_llama: Any) -> None:
    """A row once, whichever of its texts spells one and however often; never without a tokenizer to go by."""
    rows = [row(1), row(2, input="<bos><bos> a <pad>"), row(3, output="<eos>"), row(4, instruction="is <bos>?")]
    rows.append(row(5, output="<bo s> <BOS> <unk>"))
    dataset = load_examples(config(jsonl(tmp_path, rows), held_out=1))
    assert dataset.check.as_dict()["special_token_rows"] is None
    dataset.check.special_tokens = special_token_rows([*dataset.examples, *dataset.held_out], tiny_llama[1])
    assert dataset.check.as_dict()["special_token_rows"] == 3
    assert dataset.check.as_dict()["special_tokens"] == {"<bos>": 2, "<pad>": 1, "<eos>": 1}
    assert "rows that spell a special token, read as text: 3 (<bos> 2, " in dataset.check.summary()
    assert special_token_rows([], tiny_llama[1]).rows == 0
