"""Retrieval, embeddings and replay."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.alternatives.conftest import BagOfWords, alternatives_config, example
from tss_lab.alternatives import make_alternatives
from tss_lab.alternatives.embed import Embedder
from tss_lab.alternatives.retrieve import _exact, _indexed, nearest, retrieve
from tss_lab.config import EmbedderConfig, GeneratorConfig
from tss_lab.errors import ConfigError, GeneratorError
from tss_lab.store import Store


def neighbours(query: str, instructions: list[str], count: int = 3, **changes: Any) -> list[str]:
    found = nearest([query], instructions, count, alternatives_config(kind="retrieved", **changes), BagOfWords())  # type: ignore[arg-type]
    return [text for text, _ in found[query]]


def test_nearest_first_without_itself_in_any_spelling_and_without_near_duplicates() -> None:
    query = "Sort the list of fruits by name"
    instructions = [
        query,
        "sort the list of fruits, by NAME!",
        "Sort the list of fruits by the name",
        "Sort the list of towns by size",
        "Sort it",
        "Write a poem",
    ]
    assert neighbours(query, instructions) == ["Sort the list of towns by size", "Sort it", "Write a poem"]
    # With the ceiling at 1 the near-duplicate counts as a neighbour; the spellings of I itself never do.
    assert neighbours(query, instructions, similarity_ceiling=1.0)[0] == "Sort the list of fruits by the name"


def test_it_looks_further_where_near_duplicates_crowd_the_first_places() -> None:
    query = "one two three four five six seven eight nine ten"
    crowd = [" ".join([query] * (2 + number)) for number in range(60)]
    assert neighbours(query, [*crowd, "one two", "three four"], count=2) == ["one two", "three four"]


def test_never_an_examples_own_instruction_under_another_id(tmp_path: Path) -> None:
    twins = [
        example(number, ["Add the numbers.", "Name the towns.", "add the numbers"][number % 3]) for number in range(6)
    ]
    config = alternatives_config(kind="retrieved")
    found, _ = retrieve(twins, twins, 4, config, BagOfWords(), Store(tmp_path))  # type: ignore[arg-type]
    assert [text for text, _ in found["e000"]] == ["Name the towns."]
    assert len(found["e001"]) == 1


def test_a_larger_k_adds_to_the_table(tmp_path: Path) -> None:
    examples = [example(number) for number in range(8)]
    config = alternatives_config(kind="retrieved")
    two, fingerprint = retrieve(examples, examples, 2, config, BagOfWords(), Store(tmp_path))  # type: ignore[arg-type]
    five, same = retrieve(examples, examples, 5, config, BagOfWords(), Store(tmp_path))  # type: ignore[arg-type]
    assert same == fingerprint
    assert all(five[name][:2] == own for name, own in two.items())
    table = pl.read_parquet(tmp_path / "alternatives" / fingerprint / "part-*.parquet")
    assert len(table) == 40
    assert table.select("example_id", "alternative_index").is_duplicated().sum() == 0
    assert table["similarity"].null_count() == 0
    _, other = retrieve(examples, examples[:7], 2, config, BagOfWords(), Store(tmp_path))  # type: ignore[arg-type]
    assert other != fingerprint


def test_exact_search_in_blocks_is_a_matrix_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tss_lab.alternatives.retrieve._BLOCK_BYTES", 4 * 50 * 3)
    random = np.random.default_rng(0)
    vectors, queries = (random.normal(size=(rows, 16)).astype(np.float32) for rows in (50, 20))
    similarity, place = _exact(vectors)(queries, 5)
    full = queries @ vectors.T
    assert np.array_equal(place, np.argsort(-full, axis=1)[:, :5])
    assert np.allclose(similarity, np.sort(full, axis=1)[:, :-6:-1], atol=1e-5)


@pytest.mark.parametrize("block_bytes", [256 << 20, 4 * 10 * 32 * 7], ids=["at once", "seven queries a block"])
def test_the_index_finds_nearly_all_that_exact_search_finds(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr("tss_lab.alternatives.retrieve._BLOCK_BYTES", block_bytes)
    random = np.random.default_rng(0)
    centres = random.normal(size=(40, 32))
    vectors = (centres[random.integers(0, 40, 4000)] + 0.3 * random.normal(size=(4000, 32))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    _, exact_place = _exact(vectors)(vectors[:100], 10)
    similarity, place = _indexed(vectors)(vectors[:100], 10)
    recall = np.mean([len(set(one) & set(other)) / 10 for one, other in zip(exact_place, place, strict=True)])
    assert recall > 0.9
    assert np.allclose(similarity, np.einsum("qd,qkd->qk", vectors[:100], vectors[place]), atol=1e-5)


def test_the_index_gathers_a_block_of_candidates_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds beside the result is bound by the block, however many queries there are."""
    pytest.importorskip("faiss")
    random = np.random.default_rng(0)
    vectors = random.normal(size=(3000, 32)).astype(np.float32)
    search = _indexed(vectors)
    block = 4 * 20 * 32 * 50  # bytes of the candidates of 50 queries
    monkeypatch.setattr("tss_lab.alternatives.retrieve._BLOCK_BYTES", block)
    tracemalloc.start()
    try:
        search(vectors, 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    result = 3000 * 20 * (4 + 8)
    assert peak < result + 2 * block < 3000 * 20 * 32 * 4


def test_without_the_index_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(ConfigError, match=r"pip install -e '\.\[large\]'"):
        neighbours("a b", ["c d", "e f"], exact_search_up_to=1)


@pytest.fixture(scope="module")
def tiny_embedder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random one-layer encoder; sentence-transformers takes the mean over its tokens."""
    from tokenizers import Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordPiece
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("embedder")
    letters = [chr(code) for code in range(97, 123)]
    vocabulary = {
        name: at
        for at, name in enumerate(
            ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *letters, *("##" + a for a in letters)]
        )
    }
    raw = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    raw.normalizer, raw.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    BertTokenizerFast(tokenizer_object=raw).save_pretrained(folder / "bert")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(vocabulary), **sizes)).save_pretrained(folder / "bert")
    return folder / "bert"


def test_a_text_is_embedded_once(tiny_embedder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = EmbedderConfig(name="tiny", path=str(tiny_embedder_folder))
    first = Embedder(config, Store(tmp_path), tmp_path).embed(["abc def", "xyz", "abc def"])
    assert first.shape == (3, 16)
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    assert np.array_equal(first[0], first[2])
    monkeypatch.setattr("sentence_transformers.SentenceTransformer.__init__", None)  # would fail if called
    again = Embedder(config, Store(tmp_path), tmp_path).embed(["xyz", "abc def"])
    assert np.array_equal(again, first[[1, 0]])
    known = Embedder(config, Store(tmp_path), tmp_path).known(["xyz"])
    assert known is not None
    assert np.array_equal(known, first[[1]])
    assert Embedder(config, Store(tmp_path), tmp_path).known(["xyz", "new"]) is None


def test_other_weights_are_another_embedder(tiny_embedder_folder: Path, tmp_path: Path) -> None:
    """Whatever file holds them: a shard is no model.safetensors."""
    folder = tmp_path / "sharded"
    shutil.copytree(tiny_embedder_folder, folder)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    config = EmbedderConfig(name="tiny", path=str(folder))
    before = Embedder(config, Store(tmp_path), tmp_path).identity()
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"other")
    assert Embedder(config, Store(tmp_path), tmp_path).identity() != before


def replay(path: Path) -> GeneratorConfig:
    return GeneratorConfig(name="replay", kind="replay", path=str(path))


def test_replay_by_id_by_content_and_from_a_table(tmp_path: Path) -> None:
    examples = [example(0), example(1)]
    lines = [["Name it.", "Count it."], ["Sort it.", "Turn it."]]
    by_id = tmp_path / "by_id.jsonl"
    by_id.write_text(
        "\n".join(
            json.dumps({"example_id": one.example_id, "alternatives": own})
            for one, own in zip(examples, lines, strict=True)
        )
    )
    by_content = tmp_path / "by_content.parquet"
    pl.DataFrame(
        {
            "instruction": [one.instruction for one in examples],
            "input": [one.input for one in examples],
            "alternatives": lines,
        }
    ).write_parquet(by_content)
    table = tmp_path / "table.parquet"
    rows = [(one.example_id, at, text) for one, own in zip(examples, lines, strict=True) for at, text in enumerate(own)]
    pl.DataFrame(rows, schema=["example_id", "alternative_index", "instruction"], orient="row").write_parquet(table)
    for path in (by_id, by_content, table):
        store = Store(tmp_path / path.stem)
        run = make_alternatives(examples, examples, alternatives_config(k=2), replay(path), store, tmp_path)
        assert [[found.instruction for found in own] for own in run.by_example.values()] == lines


def test_replay_takes_what_it_needs_from_the_whole_list(tmp_path: Path, bag_of_words: object) -> None:
    """A line that cleaning drops is made up for by a later one, and a larger K finds the rest."""
    lines = ["Name it.", "Count " + "very " * 30 + "far.", "Sort it.", "Turn it.", "Read it.", "Fold it."]
    path = tmp_path / "six.jsonl"
    path.write_text(json.dumps({"example_id": "e000", "alternatives": lines}))

    def run(k: int) -> Any:
        return make_alternatives([example(0)], [example(0), example(1)], alternatives_config(k=k), replay(path),
                                 Store(tmp_path), tmp_path)  # fmt: skip

    first = run(3)
    assert [found.instruction for found in first.by_example["e000"]] == ["Name it.", "Sort it.", "Turn it."]
    assert (first.counts["requests"], first.counts["parse_rate"]) == (1, pytest.approx(5 / 6))
    more = run(5)
    assert {found.source for found in more.by_example["e000"]} == {"generated"}
    assert len(more.by_example["e000"]) == 5


@pytest.mark.parametrize("letter", ["\x85", "\u2028", "\x1c"])
def test_replay_reads_lines_that_hold_other_separators(tmp_path: Path, letter: str) -> None:
    path = tmp_path / "lines.jsonl"
    rows = [{"example_id": f"e00{n}", "alternatives": [f"Sort the{letter}list {n}."]} for n in range(2)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    examples = [example(0), example(1)]
    run = make_alternatives(examples, examples, alternatives_config(k=1), replay(path), Store(tmp_path), tmp_path)
    assert [own[0].instruction for own in run.by_example.values()] == ["Sort the list 0.", "Sort the list 1."]


def test_replay_files_that_can_not_be_used(tmp_path: Path, bag_of_words: object) -> None:
    examples = [example(0), example(1)]

    def run(path: Path) -> Any:
        return make_alternatives(examples, examples, alternatives_config(k=1), replay(path), Store(tmp_path), tmp_path)

    with pytest.raises(ConfigError, match="is not there"):
        run(tmp_path / "absent.jsonl")
    for name, content, words in (
        ("broken.jsonl", "{not json", "can't be read"),
        ("fields.jsonl", '{"id": 1}', "replay needs alternatives"),
        (
            "nameless.jsonl",
            '{"example_id": null, "alternatives": ["Name it."]}',
            "row 1 of .*no example_id, no instruction and no input",
        ),
        ("type.jsonl", '{"example_id": "e000", "alternatives": "one text"}', "row 1 of .*no list of texts"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(GeneratorError, match=words):
            run(tmp_path / name)
    (tmp_path / "one.jsonl").write_text('{"example_id": "e000", "alternatives": ["Name it."]}')
    found = run(tmp_path / "one.jsonl")
    assert [own[0].source for own in found.by_example.values()] == ["generated", "retrieved"]
    assert found.counts["rejected"] == {"request refused": 1}
