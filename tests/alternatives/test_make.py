"""The candidate set end to end with a generator that needs no model: sources, counts, the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.alternatives.conftest import ROOT, BagOfWords, FakeGenerator, alternatives_config, example, generator_config
from tss_lab.alternatives import AlternativesRun, audit, make_alternatives
from tss_lab.alternatives.asking import Asking
from tss_lab.alternatives.clean import fold
from tss_lab.alternatives.generators import make_generator
from tss_lab.alternatives.quality import tally
from tss_lab.config import GeneratorConfig
from tss_lab.errors import ConfigError, DataError, GeneratorError
from tss_lab.store import Store
from tss_lab.types import Alternative, Example, SetAside

EXAMPLES = [example(number) for number in range(12)]
pytestmark = pytest.mark.usefixtures("bag_of_words")


def made(
    store: Path, examples: list[Example] = EXAMPLES, generator: GeneratorConfig | None = None, **changes: Any
) -> AlternativesRun:
    config = alternatives_config(**changes)
    return make_alternatives(examples, EXAMPLES, config, generator or generator_config(), Store(store), store)


def texts(run: AlternativesRun) -> dict[str, list[str]]:
    return {name: [found.instruction for found in own] for name, own in run.by_example.items()}


@pytest.mark.parametrize("ask", ["plain", "examples", "begun", "line_by_line"])
def test_every_form_of_asking_gives_k_distinct_alternatives(tmp_path: Path, ask: str) -> None:
    run = made(tmp_path, generator=generator_config(ask=ask, retries=20))
    assert all(len(own) == 4 for own in run.by_example.values())
    for one in EXAMPLES:
        own = run.by_example[one.example_id]
        assert len({fold(found.instruction) for found in own} - {fold(one.instruction)}) == 4
        assert [found.alternative_index for found in own] == [0, 1, 2, 3]
        assert {found.source for found in own} == {"generated"}
    assert run.counts["generated"] == 48
    assert run.counts["retries"] > 0
    assert 0.5 < run.counts["parse_rate"] < 1
    assert run.counts["rejected"]["fewer than two words"] > 0


def test_the_papers_prompt_is_sent_word_for_word(tmp_path: Path) -> None:
    with_input = made(tmp_path, [EXAMPLES[1]], generator_config(ask="plain")).prompt_example
    assert with_input.startswith("system: Generate exactly 4 distinct task instructions for the input below.\n\nEach")
    assert with_input.endswith("user: Input:\n\nInput 1.\n")
    without = made(tmp_path, [EXAMPLES[2]], generator_config(ask="plain")).prompt_example
    assert "generate exactly 4 distinct alternative task instructions that do NOT require any extra input" in without
    assert without.endswith("user: Original instruction:\n\nDo the thing with number 2.\n")
    assert "Output" not in with_input + without  # the generator never sees Y


def test_nothing_is_generated_twice(tmp_path: Path) -> None:
    first = made(tmp_path)
    asked = FakeGenerator.asked
    again = made(tmp_path)
    assert FakeGenerator.asked == asked
    assert texts(again) == texts(first)
    assert (again.counts["resumed_examples"], again.counts["generated_now"]) == (12, 0)
    assert again.counts["parse_rate"] == first.counts["parse_rate"]
    made(tmp_path, generator=generator_config(seed=1))
    assert FakeGenerator.asked > asked


def test_more_examples_and_a_larger_k_ask_for_what_is_missing_only(tmp_path: Path) -> None:
    made(tmp_path / "grown", EXAMPLES[:6], k=2)
    made(tmp_path / "grown", EXAMPLES, k=2)
    grown = made(tmp_path / "grown", EXAMPLES, k=5)
    asked, FakeGenerator.asked = FakeGenerator.asked, 0
    at_once = made(tmp_path / "once", EXAMPLES, k=5)
    assert texts(grown) == texts(at_once)
    assert FakeGenerator.asked == asked
    assert texts(made(tmp_path / "grown", k=2)) == {name: own[:2] for name, own in texts(at_once).items()}


def test_the_table_has_its_public_columns_and_survives_reordering(tmp_path: Path) -> None:
    run = made(tmp_path, EXAMPLES[:6], k=2)
    last = made(tmp_path, EXAMPLES[::-1], k=3)
    artifact = next(
        found for found in Store(tmp_path).artifacts() if found.fingerprint == run.fingerprints["generated"]
    )
    frame = artifact.scan()
    assert frame is not None
    rows = frame.sort("example_id", "alternative_index").collect()
    assert rows.columns == ["example_id", "alternative_index", "instruction", "source", "similarity"]
    assert rows.select("example_id", "alternative_index").is_duplicated().sum() == 0
    kept = rows.filter(pl.col("alternative_index") < 3)
    assert {name: list(own["instruction"]) for (name,), own in kept.group_by("example_id")} == texts(last)
    manifest = artifact.manifest()
    assert manifest is not None
    assert manifest["complete"]
    assert manifest["counts"]["prompt_example"] == last.prompt_example
    assert manifest["identity"]["asking"]["texts"]["system"]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=3), st.sampled_from(["line_by_line", "plain"]))
def test_interrupted_anywhere_it_ends_with_the_same_table(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], ask: str
) -> None:
    generator = generator_config(ask=ask)
    FakeGenerator.dies_after = None
    whole = made(tmp_path_factory.mktemp("whole"), generator=generator)
    store = tmp_path_factory.mktemp("cut")
    for cut in cuts:
        FakeGenerator.dies_after = cut
        try:
            made(store, generator=generator)
        except GeneratorError:
            continue
    FakeGenerator.dies_after = None
    assert texts(made(store, generator=generator)) == texts(whole)


_KILLED = """
import os, signal, sys
from pathlib import Path
import tss_lab.alternatives.generate as generate
from tests.alternatives.conftest import BagOfWords, FakeGenerator, alternatives_config, example, generator_config
import tss_lab.alternatives.make as make
from tss_lab.store import Store
make.Embedder = BagOfWords
generate._SECONDS_BETWEEN_SHARDS = 0.0
reply, folder = FakeGenerator.reply, Path(sys.argv[1])
def until_eight_shards(self, request):
    if len(list(folder.glob("replies/*/part-*"))) >= 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return reply(self, request)
FakeGenerator.reply = until_eight_shards
examples = [example(number) for number in range(12)]
make.make_alternatives(examples, examples, alternatives_config(), generator_config(), Store(folder), folder)
"""


def test_killed_with_kill_9_it_goes_on(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "cut")], env=environment, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    stored = len(list(tmp_path.glob("cut/replies/*/part-*")))
    assert stored >= 8
    FakeGenerator.asked = 0
    resumed = made(tmp_path / "cut")
    assert texts(resumed) == texts(whole)
    assert FakeGenerator.asked == whole.counts["requests"] - stored


def test_too_few_are_filled_up_from_retrieval_and_counted(tmp_path: Path) -> None:
    FakeGenerator.bad_share = 0.9
    run = made(tmp_path, generator=generator_config(retries=1))
    assert all(len(own) == 4 for own in run.by_example.values())
    filled = sum(found.source == "retrieved" for own in run.by_example.values() for found in own)
    assert run.counts["filled_from_retrieval"] == filled > 0
    assert run.counts["generated"] + filled == 48
    instructions = {one.instruction for one in EXAMPLES}
    for one in EXAMPLES:
        retrieved = [found for found in run.by_example[one.example_id] if found.source == "retrieved"]
        assert {found.instruction for found in retrieved} <= instructions - {one.instruction}
        assert all(found.similarity is not None for found in retrieved)


def test_a_generator_that_replies_nonsense_still_ends(tmp_path: Path) -> None:
    FakeGenerator.bad_share = 1.0
    run = made(tmp_path)
    assert run.counts["generated"] == 0
    assert run.counts["filled_from_retrieval"] == 48
    assert run.counts["requests"] == 12 * 4 * (1 + 3)
    same = [example(number, "Always the same.") for number in range(3)]
    with pytest.raises(DataError, match=r"all instructions are the same.*generator.ask=line_by_line"):
        make_alternatives(same, same, alternatives_config(), generator_config(), Store(tmp_path), tmp_path)


def test_retrieved_and_mixed(tmp_path: Path) -> None:
    retrieved = made(tmp_path, kind="retrieved")
    assert all(len(own) == 4 for own in retrieved.by_example.values())
    assert FakeGenerator.asked == 0
    mixed = made(tmp_path, kind="mixed")
    for own in mixed.by_example.values():
        assert [found.source for found in own] == ["generated"] * 4 + ["retrieved"] * 4
        assert len({fold(found.instruction) for found in own}) == 8
        assert [found.alternative_index for found in own] == list(range(8))
    assert set(mixed.fingerprints) == {"generated", "retrieved"}


def test_nothing_to_retrieve(tmp_path: Path) -> None:
    same = [example(number, ["Always the same.", "always the SAME"][number % 2]) for number in range(4)]
    with pytest.raises(
        DataError, match=r"all instructions are the same, so there is nothing to retrieve; take alternatives=gen"
    ):
        make_alternatives(
            same, same, alternatives_config(kind="retrieved"), generator_config(), Store(tmp_path), tmp_path
        )


def test_an_example_with_too_few_is_kept_or_set_aside(tmp_path: Path) -> None:
    few = EXAMPLES[:4]  # three others each
    kept = make_alternatives(
        few, few, alternatives_config(kind="retrieved"), generator_config(), Store(tmp_path), tmp_path
    )
    assert (kept.counts["examples_short"], kept.counts["set_aside"]) == (4, 0)
    twins = [*few[:2], *EXAMPLES[4:]]
    config = alternatives_config(kind="retrieved", k=10, on_too_few="set_aside")
    with pytest.raises(DataError, match=r"on_too_few=keep"):
        make_alternatives(twins, twins, config, generator_config(), Store(tmp_path), tmp_path)
    FakeGenerator.bad_share = 1.0
    lonely = [*few, example(99, "Entirely other words")]
    run = make_alternatives(
        lonely,
        few[:1] + lonely[4:],
        alternatives_config(kind="retrieved"),
        generator_config(),
        Store(tmp_path),
        tmp_path,
    )
    assert run.by_example["e099"]


def test_who_gets_too_few_is_listed_with_the_reason(tmp_path: Path) -> None:
    """Nothing usable is generated, and of the three instructions that may be retrieved most have one already."""
    FakeGenerator.bad_share = 1.0
    few = [*EXAMPLES[:4], example(98, EXAMPLES[0].instruction), example(99, EXAMPLES[0].instruction.upper())]
    config = alternatives_config(k=3, on_too_few="set_aside", similarity_ceiling=1.0)
    run = make_alternatives(few, few[:3], config, generator_config(), Store(tmp_path), tmp_path)
    assert list(run.by_example) == ["e003"]
    assert run.counts["set_aside"] == len(run.set_aside) == 5
    assert run.set_aside[0] == SetAside(
        "example e000", "too few alternatives", "2 of 3 alternatives could be generated or retrieved", "e000"
    )
    assert {aside.where for aside in run.set_aside} == {f"example {one.example_id}" for one in few} - {"example e003"}


def test_unknown_kinds_of_generator(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"generator.kind=parrot is not known; take endpoint, replay, starter, transformers"
    ):
        made(tmp_path, generator=generator_config(kind="parrot"))
    with pytest.raises(ConfigError, match=r"generator.kind=base is not known"):
        made(tmp_path, generator=generator_config(kind="base"))
    with pytest.raises(ConfigError, match=r"generator.kind=my.own.Parrot can't be loaded"):
        made(tmp_path, generator=generator_config(kind="my.own.Parrot"))


@pytest.mark.parametrize("path", sorted((ROOT / "conf" / "generator").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_generator_of_the_configs_is_found(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = GeneratorConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    built: list[GeneratorConfig] = []
    monkeypatch.setattr(f"tss_lab.alternatives.generators.{config.kind}.build", lambda given, _: built.append(given))
    make_generator(config, tmp_path)
    assert built == [config]


def test_a_long_input_is_shown_from_its_beginning_and_counted(tmp_path: Path) -> None:
    long = example(1, input="x" * 5000)
    run = made(tmp_path, [long], generator_config(ask="plain"))
    assert "x" * 4000 in run.prompt_example
    assert "x" * 4001 not in run.prompt_example
    assert run.counts["inputs_cut"] == 1


def test_beginnings_differ_within_an_example_and_between_examples() -> None:
    asking = Asking(generator_config(), 25)
    begun = [[asking.line_request(one, sample).begun for sample in range(4)] for one in EXAMPLES]
    assert all(len(set(own)) == 4 for own in begun)
    assert len({tuple(own) for own in begun}) == len(EXAMPLES)


def test_the_audit_finds_what_is_wrong() -> None:
    one = Example("a", "Name the capital of Peru.", "A letter from Lima.", "The capital of Peru is the city of Lima.")
    lines = [
        "name the capital of peru",
        "Say that Peru is the city of Lima today.",
        "Count the vowels.",
        "Count the words.",
    ]
    found = {"a": [Alternative("a", at, text, "generated") for at, text in enumerate(lines)]}
    embedder: Any = BagOfWords
    figures = audit([one], found, alternatives_config(), embedder)
    assert figures["duplicate_share"] == 0.25
    assert figures["paraphrase_share"] == 0.25
    assert figures["leak_share"] == 0.25
    assert figures["leaks"] == ["peru is the city of lima"]
    assert figures["distinct_first_word_share"] == 0.75
    assert figures["words"]["50%"] == 4.0
    assert (figures["own_instruction_copies"], figures["most_frequent"]) == (1, "name the capital of peru")
    # "Count the" is half of three words in common: cosine 2/3.
    assert 0 < figures["pair_similarity"] < 0.5


def test_all_alternatives_are_counted_by_hand() -> None:
    two = [example(1, "Sort the list."), example(2, "Name it."), example(3)]
    texts = {
        "e001": [("Count it all.", "generated", None), ("SORT the list", "generated", None),
                 ("count it, all!", "retrieved", 0.5), ("Name it.", "retrieved", 0.25)],
        "e002": [("Count it all.", "generated", None), ("Turn it over in one go.", "retrieved", 0.75)],
    }  # fmt: skip
    found = {
        name: [Alternative(name, at, text, source, similarity) for at, (text, source, similarity) in enumerate(own)]
        for name, own in texts.items()
    }
    assert tally(two, found) == {
        "own_instruction_copies": 1,  # of e001; what is another example's instruction is none
        "repeated_within_example": 1,
        "distinct_share": pytest.approx(4 / 6),
        "most_frequent_times": 3,
        "examples_with": {"4": 1, "2": 1, "0": 1},
        "by_source": {
            "generated": {"alternatives": 3, "examples": 2, "mean_words": 3.0, "most_words": 3},
            "retrieved": {"alternatives": 3, "examples": 2, "mean_words": pytest.approx(11 / 3), "most_words": 6,
                          "median_similarity": 0.5, "highest_similarity": 0.75},
        },
    }  # fmt: skip
    assert tally([], {})["distinct_share"] == 0.0
    assert tally(two, {})["examples_with"] == {"0": 3}
