"""The page: complete, self-contained, safe against any text of the data, and a function of the folder."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from made_up_run import HOSTILE, NUM, config, evaluation, full_run, tables

from tests.made_up import result_of, write_folder
from tss_lab.errors import ArtifactError
from tss_lab.report import sections
from tss_lab.report.charts import Figure
from tss_lab.report.page import build_page, render, write_page
from tss_lab.report.parts import (
    COUNT,
    Cards,
    Column,
    Facts,
    Folded,
    Form,
    Heading,
    Note,
    Page,
    Section,
    Shown,
    Table,
    Tile,
)
from tss_lab.report.sections.alternatives import sources_table
from tss_lab.report.sections.evaluation import evaluation_table
from tss_lab.report.sections.examples import ranked_cards
from tss_lab.report.sections.provenance import costs_table
from tss_lab.report.sections.training import _step_axis
from tss_lab.runs import read_run
from tss_lab.types import Selection

VOID = {"meta", "br", "img", "link", "input", "hr"}
ANCHORS = ["run", "scores", "examples", "audit", "alternatives", "weights", "training", "held-out", "evaluation",
           "provenance", "reading"]  # fmt: skip


class Outline(HTMLParser):
    """Collects tags, ids and texts, and checks that elements close in order."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.ids, self.texts, self.attributes = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def outline(html):
    parsed = Outline()
    parsed.feed(html)
    parsed.close()
    assert not parsed.open
    return parsed


def shown(page):
    """All that a reader sees of a page, white space folded."""
    return re.sub(r"\s+", " ", " ".join(outline(render(page)).texts))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return full_run(tmp_path_factory.mktemp("full") / "runs")


@pytest.fixture(scope="module")
def page(run):
    return build_page(run)


@pytest.fixture(scope="module")
def html(page):
    return render(page)


def written(tmp_path, *overrides, method="tss_pp_exp", **content):
    return read_run(write_folder(config(tmp_path / "runs", "plain", method, *overrides), **content))


def test_texts_of_the_data_stay_texts(html):
    parsed = outline(html)
    assert "script" not in parsed.tags
    assert "img" not in parsed.tags
    assert "b" not in parsed.tags  # of the run's name
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert HOSTILE in "".join(parsed.texts)
    assert parsed.tags.count("style") == 1


def test_nothing_is_fetched_or_run(html):
    fetched = [
        value for name, value in outline(html).attributes if name in {"src", "href", "xlink:href", "action", "data"}
    ]
    assert all(value.startswith("#") for value in fetched)
    assert "@import" not in html
    assert re.findall(r"url\((?!#)", html) == []
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html


def test_every_section_and_figure_of_a_whole_run_is_there(page, html):
    parsed = outline(html)
    assert [section.anchor for section in page.sections] == ANCHORS
    assert set(ANCHORS) <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))
    drawn = [part for section in page.sections for part in section.parts if isinstance(part, Figure)]
    assert len(drawn) == 10
    assert parsed.tags.count("figure") == len(drawn)
    labels = [value for name, value in parsed.attributes if name == "aria-label"]
    assert all(figure.alt_text in labels and len(figure.alt_text) > 40 for figure in drawn)


def test_placeholder_colours_become_the_pages(html):
    assert "var(--accent)" in html
    assert re.findall(r"#(0[1-9a-d])\1\1", html) == []


def test_its_facts_are_the_runs(page):
    """What the folder says, in the page's words."""
    text = shown(page)
    for words in (
        "examples kept 8 of 24 33 % of those scored", "Pairs of prompt and output 96", "of these from the store 6",
        "Pairs cut to the length limit 2 (2.1 %)", "Teraflop 4.40",
        "3 pairs computed twice, at most 4.0e-05 nats apart",
        "Prompt and output would merge a token 2.0 % of examples", "rows read 30", "examples to choose from 24",
        "Kept share ρ 0.333 of the examples", "Chooser top", "mixed, K = 3, by smollm2_135m",
        "Alternatives an example has 10 (1 examples), 3 (23 examples)", "Replies in the asked form 90 %",
        "Rankings by two halves of the alternatives agree (Spearman) 0.92", "Weights at a clip bound 25.0 %",
        "Optimiser steps 30", "Training examples 8", "Target tokens seen 400", "2.000 ± 0.100", "−0.500 ± 0.050",
        "set_aside.jsonl lists each",
    ):  # fmt: skip
        assert words in text


def test_demonstration_items_are_never_called_by_the_benchmark_alone(page):
    text = shown(page)
    for name in ("ARC-Challenge", "MMLU", "HellaSwag", "TruthfulQA-MC1"):
        assert text.count(name) > 0
        assert text.count(name) == len(re.findall(rf"{name}-style demonstration items", text))
    assert "Sum over demonstration items of 4 kinds" in text


def test_no_item_changed_and_all_right_are_said(tmp_path):
    """Neither is shown as ± 0.0: Wilson's interval of 4 of 4 begins at 4/(4 + 1.96²) = 51.0 %."""
    right = result_of({"mmlu": [True] * 4})
    run = written(tmp_path, zero_shot=right, tuned=right)
    text = shown(build_page(run))
    assert "100.0 (51.0 to 100.0)" in text
    assert "SUM of 1 benchmarks" in text
    assert "no item changed" in text
    assert not re.search(r"± 0\.0\b", text)
    one, total = evaluation_table(run).records()
    assert (one["benchmark"], one["benchmark_items"], one["tuned"], one["difference_gained"]) == ("MMLU", 4, 100.0, 0)
    assert (total["difference"], total["difference_stderr"], total["difference_low"]) == (0.0, None, None)


def test_one_evaluated_model_has_no_difference(tmp_path):
    """60 % of 5 and 40 % of 5, with √(0.3·100²/5) each: the sum is 100 ± 34.6, and no share at that."""
    result = result_of({"mmlu": [True, True, True, False, False], "hellaswag": [True, True, False, False, False]})
    run = written(tmp_path, zero_shot=result)
    rows = [[cell.text for cell in row] for row in evaluation_table(run).shown]
    assert rows[-1] == ["SUM of 2 benchmarks (10)", "100.0 ± 34.6", "–", "–", "–", "–"]
    assert build_page(run).tiles == [Tile("100.0", "SUM of 2 benchmarks", "± 34.6 percent points")]


def test_a_run_with_nothing_but_its_settings_has_a_page(tmp_path):
    run = written(tmp_path)
    path = write_page(run)
    assert path == run.folder / "report" / "index.html"
    assert [section.anchor for section in build_page(run).sections] == ["run", "provenance", "reading"]
    assert outline(path.read_text(encoding="utf-8")).ids


@pytest.mark.parametrize("method", ["full", "random", "ppl"])
def test_a_run_without_alternatives_or_weights(tmp_path, method):
    examples, _, _, selection = tables("plain")
    flat = Selection(
        selection.example_id_N, np.zeros_like(selection.score_N), selection.rank_N, selection.kept_N,
        selection.kept_N.astype(float),
    )  # fmt: skip
    page = build_page(written(tmp_path, method=method, examples=examples, selection=flat))
    anchors = [section.anchor for section in page.sections]
    assert "examples" in anchors
    assert not {"weights", "alternatives"} & set(anchors)
    assert ("ρ" in page.title) == (method != "full")
    facts = dict(page.sections[0].parts[0].rows)
    assert ("Kept share ρ" in facts) == (method != "full")


def test_a_stopped_run_says_so(tmp_path):
    run = written(tmp_path)
    record = {**run.record, "status": "stopped: DataError: row 3 <is> empty"}
    page = build_page(type(run)(run.folder, run.config, record, run.metrics))
    assert page.subtitle.endswith("seed 0. It stopped: DataError: row 3 <is> empty.")
    assert "row 3 &lt;is&gt; empty" in render(page)


def test_cards_are_the_ends_of_the_ranking(run):
    first, last = ranked_cards(run)
    assert [card.place for card in first] == ["1st", "2nd", "3rd", *(f"{n}th" for n in range(4, 11))]
    assert [card.place for card in last] == [
        "24th", "23rd", "22nd", "21st", "20th", "19th", "18th", "17th", "16th", "15th",
    ]  # fmt: skip
    own, *others = first[0].prompts
    assert own.is_true
    assert len(others) == 3
    assert own.difference == ""
    places = [prompt.place for prompt in first[0].prompts]
    assert (min(places), max(places)) == (4.0, 96.0)
    assert first[0].is_kept
    assert "weight" in first[0].about
    assert not last[0].is_kept


def test_two_examples_are_not_shown_at_both_ends(tmp_path):
    examples, _, _, selection = tables("plain")
    few = Selection(
        *(
            values[:3]
            for values in (
                selection.example_id_N,
                selection.score_N,
                np.array([1, 0, 2]),
                selection.kept_N,
                selection.weight_N,
            )
        )
    )
    first, last = ranked_cards(written(tmp_path, examples=examples, selection=few))
    assert [card.place for card in first] == ["1st"]
    assert [card.place for card in last] == ["3rd"]


def test_alternatives_are_what_the_audit_counted(run):
    assert [[cell.text for cell in row] for row in sources_table(run).shown] == [
        ["generated", "24", "24", "6.2", "9", "–", "–"], ["retrieved", "48", "24", "6.0", "9", "0.50", "0.75"],
    ]  # fmt: skip
    assert sources_table(run).caption == "Alternatives by source"


def test_alternatives_for_the_sensitivity_alone_are_not_shown(tmp_path):
    """A method that needs none has them for held-out examples only: no score was held against them."""
    examples, alternatives, _, _ = tables("plain")
    mine = [one for one in alternatives if one.example_id == examples[-1].example_id]
    run = full_run(tmp_path / "runs", "plain", examples=examples[:-1], held_out_examples=examples[-1:],
                   alternatives=mine, likelihoods=None, selection=None)  # fmt: skip
    page = build_page(run)
    assert "alternatives" not in [section.anchor for section in page.sections]
    assert "Alternatives" not in dict(page.sections[0].parts[0].rows)


@pytest.mark.parametrize(("steps", "ticks"), [([1, 2], [1, 2]), ([0, 1, 2, 3], [0, 1, 2, 3]), ([1, 400], None)])
def test_a_short_training_has_a_tick_a_step(steps, ticks):
    assert _step_axis(steps).to_dict().get("values") == ticks


def test_costs_are_summed(run):
    *steps, total = costs_table(run).rows
    assert total[0] == "together"
    assert total[1] == pytest.approx(sum(row[1] for row in steps))
    assert total[3] == max(row[3] for row in steps)


def test_a_new_section_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "extra_section.py").write_text(
        "from tss_lab.report.parts import Note, Section\n"
        "ORDER = 95\n"
        "def extra_section(run):\n"
        "    return Section('extra', 'Extra', 'lead', [Note(run.name)]) if run.examples else None\n"
    )
    monkeypatch.setattr(sections, "__path__", [*sections.__path__, str(tmp_path)])
    examples, *_ = tables("plain")
    anchors = [section.anchor for section in build_page(written(tmp_path, examples=examples)).sections]
    assert anchors == ["run", "provenance", "extra", "reading"]
    assert "extra" not in [section.anchor for section in build_page(written(tmp_path / "other")).sections]


def test_every_kind_of_part_is_shown():
    """Any page of parts is rendered, whoever made it."""
    noted = Form(lambda value: Shown(f"{value}", "SD <2>"))
    table = Table("caption", [Column("name"), Column("n <", COUNT), Column("x", noted)], [["a", 1, 2], ["sum", 3, 4]],
                  last_is_total=True, is_wide=True)  # fmt: skip
    remarks = Table("remarks", [Column("name"), Column("remark")], [["a", ""], ["b", "odd"]], is_wide=True)
    folded = Folded("folded", [Facts([("inner", "fact")], small=True)], preformatted="a:\n  b")
    parts = [
        Facts([("fact", "its value")]),
        table,
        remarks,
        Note("a note"),
        Heading("a heading"),
        folded,
        Cards("cards", []),
    ]
    html = render(Page("title", "subtitle", [], [Section("one", "One", "lead", parts)], "footer", is_broad=True))
    texts = " ".join(outline(html).texts)
    for words in ("its value", "caption", "a note", "a heading", "inner", "a:\n  b", "cards", "SD <2>", "footer"):
        assert words in texts
    assert '<td data-label="n &lt;"><span>1</span></td>' in html
    assert '<td data-label="remark" class="words"><span>odd</span></td>' in html
    assert html.count('data-label="remark"') == 1  # a phone labels no empty cell
    assert '<tr class="total">' in html
    assert 'class="page broad"' in html


def test_the_page_is_a_function_of_the_folder(run):
    assert len(run.examples) == NUM
    assert write_page(run).read_text(encoding="utf-8") == render(build_page(read_run(run.folder)))


def test_results_over_other_items_are_refused(tmp_path):
    run = written(tmp_path, zero_shot=evaluation(1), tuned=evaluation(2, num=9))
    with pytest.raises(ArtifactError, match=r"not over the same items, .* run the same command again"):
        build_page(run)
