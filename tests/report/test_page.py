"""The page: complete, self-contained, and safe against any text of the data."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from made_up_run import HOSTILE, full_report

from tss_lab.report import figures
from tss_lab.report.cards import ranked_cards
from tss_lab.report.figures import draw_figures
from tss_lab.report.model import RunReport
from tss_lab.report.page import render, write_report
from tss_lab.types import BenchmarkScore, Estimate, EvaluationResult, Selection

VOID = {"meta", "br", "img", "link", "input", "hr"}


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


@pytest.fixture(scope="module")
def page():
    return render(full_report())


def test_texts_of_the_data_stay_texts(page):
    parsed = outline(page)
    assert "script" not in parsed.tags
    assert "img" not in parsed.tags
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert HOSTILE in "".join(parsed.texts)
    assert parsed.tags.count("style") == 1


def test_nothing_is_fetched(page):
    fetched = [
        value for name, value in outline(page).attributes if name in {"src", "href", "xlink:href", "action", "data"}
    ]
    assert all(value.startswith("#") for value in fetched)
    assert "@import" not in page
    assert re.findall(r"url\((?!#)", page) == []


def test_every_section_and_figure_of_a_whole_run_is_there(page):
    parsed = outline(page)
    sections = {
        "run",
        "scores",
        "examples",
        "alternatives",
        "weights",
        "training",
        "held-out",
        "evaluation",
        "provenance",
        "reading",
    }
    assert sections <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))
    drawn = [figure for found in draw_figures(full_report()).values() for figure in found]
    assert len(drawn) == 9
    assert parsed.tags.count("figure") == len(drawn)
    labels = [value for name, value in parsed.attributes if name == "aria-label"]
    assert all(figure.alt_text in labels and len(figure.alt_text) > 40 for figure in drawn)


def test_demonstration_items_are_never_called_by_the_benchmark_alone(page):
    shown = re.sub(r"\s+", " ", " ".join(outline(page).texts))
    for name in ("ARC-Challenge", "MMLU", "HellaSwag", "TruthfulQA-MC1"):
        assert shown.count(name) > 0
        assert shown.count(name) == len(re.findall(rf"{name}-style demonstration items", shown))


def test_no_item_changed_and_all_right_are_said(tmp_path):
    """Neither is shown as ± 0.0: Wilson's interval of 4 of 4 begins at 4/(4 + 1.96²) = 51.0 %."""
    whole = full_report("plain")
    right = EvaluationResult(
        "label", "SUM", (BenchmarkScore("mmlu", "MMLU", Estimate(100.0, 0.0, 4), 25.0),), Estimate(100.0, 0.0, 4),
        np.array(list("abcd"), dtype=object), np.array(["mmlu"] * 4, dtype=object), np.ones(4, dtype=bool),
    )  # fmt: skip
    shown = re.sub(r"\s+", " ", " ".join(outline(render(replace(whole, zero_shot=right, tuned=right))).texts))
    assert "100.0 (51.0 to 100.0)" in shown
    assert "SUM of 1 benchmark" in shown
    assert "no item changed" in shown
    assert not re.search(r"± 0\.0\b", shown)


def test_a_run_with_nothing_but_its_name_has_a_page(tmp_path):
    path = write_report(RunReport("r", "e", "m", "d", "tss", 0.5, 0), tmp_path / "report")
    html = path.read_text(encoding="utf-8")
    assert path == tmp_path / "report" / "index.html"
    ids = outline(html).ids
    assert "run" in ids
    assert "scores" not in ids
    assert "evaluation" not in ids


@pytest.mark.parametrize("method", ["full", "random", "ppl"])
def test_a_run_without_alternatives_or_weights(method):
    whole = full_report("plain", method)
    selection = whole.selection
    flat = Selection(
        selection.example_id_N, np.zeros_like(selection.score_N), selection.rank_N, selection.kept_N,
        selection.kept_N.astype(float),
    )  # fmt: skip
    ids = outline(render(RunReport("r", "e", "m", "d", method, 0.5, 0, examples=whole.examples, selection=flat))).ids
    assert "examples" in ids
    assert "weights" not in ids
    assert "alternatives" not in ids


def test_cards_are_the_ends_of_the_ranking():
    first, last = ranked_cards(full_report())
    assert [card.rank for card in first] == list(range(1, 11))
    assert [card.rank for card in last] == list(range(24, 14, -1))
    own, *others = first[0].prompts
    assert own.is_true
    assert len(others) == 3
    assert own.difference == ""
    assert all(0 <= prompt.place <= 100 for prompt in first[0].prompts)
    assert first[0].kept
    assert not last[0].kept


def test_two_examples_are_not_shown_at_both_ends():
    report = full_report()
    selection = report.selection
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
    first, last = ranked_cards(RunReport("r", "e", "m", "d", "tss", 0.5, 0, examples=report.examples, selection=few))
    assert [card.rank for card in first] == [1]
    assert [card.rank for card in last] == [3]


def test_a_new_figure_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "extra_figure.py").write_text(
        "import altair as alt\n"
        "from tss_lab.report.charts import Drawing, values\n"
        "SECTION, ORDER, TITLE = 'scores', 99, 'Extra'\n"
        "def draw(report, width):\n"
        "    chart = alt.Chart(values([{'x': report.rho}])).mark_point().encode(x='x:Q')\n"
        "    return Drawing(chart, 'a caption', 'a figure')\n"
    )
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path)])
    assert [figure.title for figure in draw_figures(full_report())["scores"]][-1] == "Extra"


def test_placeholder_colours_become_the_pages(page):
    assert "var(--accent)" in page
    assert re.findall(r"#(0[1-9a-d])\1\1", page) == []
