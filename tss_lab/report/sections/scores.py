"""How the scores are spread, what they follow, and which part of the examples is kept."""

from __future__ import annotations

import altair as alt
import numpy as np

from tss_lab.report.charts import Drawing, Ink, categories, figure, histogram, values
from tss_lab.report.numbers import number
from tss_lab.report.parts import Section, section
from tss_lab.runs import Run
from tss_lab.statistics import auc, interval, kept_share_by_group, spearman
from tss_lab.types import Example, Selection

ORDER = 20

_PARTS = {"kept": Ink.ACCENT, "left out": Ink.REST}
_TRUTHS = ("specific", "generic")
_MAX_DOTS = 1500
_MAX_DOTS_A_TRUTH = 400
_MAX_CATEGORIES = 30


def scores(run: Run) -> Section | None:
    selection = run.selection
    if selection is None:
        return None
    lead = "Every scored example got one number; the ranking by it decides what is kept."
    return section("scores", "Scores", lead, [
        figure("score_histogram", "Distribution of scores", lambda width: _histogram(selection)),
        figure("truth", "Score against the known truth", lambda width: _truth(selection, run.examples)),
        figure("score_by_length", "Score against the output's length", lambda width: _length(selection, run)),
        figure("categories", "Kept share by category", lambda width: _categories(selection, run.examples)),
    ])  # fmt: skip


def _histogram(selection: Selection) -> Drawing | None:
    """How the scores are spread, and which part of them is kept."""
    finite_N = np.isfinite(selection.score_N)
    score_M, kept_M = selection.score_N[finite_N], selection.kept_N[finite_N]
    if len(score_M) < 2 or np.ptp(score_M) == 0:
        return None
    edges = np.histogram_bin_edges(score_M, bins=min(40, max(8, int(np.sqrt(len(score_M)) * 2))))
    parts = {"kept": score_M[kept_M], "left out": score_M[~kept_M]}
    chart = histogram(parts, _PARTS, edges, "score", 200)
    low, middle, high = np.quantile(score_M, [0.05, 0.5, 0.95])
    not_finite = int((~finite_N).sum())
    caption = (
        f"{len(score_M):,} examples, {int(kept_M.sum()):,} kept. Median {number(middle, 2)}; nine in ten lie between "
        f"{number(low, 2)} and {number(high, 2)}."
        + (f" {not_finite:,} without a finite score are not drawn." if not_finite else "")
    )
    return Drawing(chart, caption, f"Histogram of scores. {caption}")


def _truth(selection: Selection, examples: list[Example]) -> Drawing | None:
    """Where the rows know their truth: do specific rows get higher ranks than generic ones?"""
    truth = {example.example_id: str(example.extra.get("specificity", "")) for example in examples}
    truth_N = np.array([truth.get(example_id, "") for example_id in selection.example_id_N], dtype=object)
    usable_N = np.isin(truth_N, _TRUTHS) & np.isfinite(selection.score_N)
    score_M, truth_M = selection.score_N[usable_N], truth_N[usable_N]
    if len(set(truth_M.tolist())) < 2 or np.ptp(score_M) == 0:
        return None
    rows, names = [], []
    for kind in _TRUTHS:
        mine = np.sort(score_M[truth_M == kind])
        names.append(f"{kind} ({len(mine)})")
        shown = mine[np.unique(np.linspace(0, len(mine) - 1, min(len(mine), _MAX_DOTS_A_TRUTH)).astype(int))]
        # The golden ratio spreads neighbours over the height without chance.
        rows += [
            {"score": float(value), "truth": names[-1], "spread": (index * 0.618034) % 1.0}
            for index, value in enumerate(shown)
        ]
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("truth:N", sort=names, title=None, axis=alt.Axis(labelColor=Ink.TEXT)),
        x=alt.X("score:Q", title="score", scale=alt.Scale(zero=False), axis=alt.Axis(grid=False, tickCount=6)),
    )
    colours = categories(dict(zip(names, (Ink.ACCENT, Ink.REST), strict=True)))
    dots = base.mark_circle(size=30, opacity=0.75).encode(
        yOffset=alt.YOffset("spread:Q", scale=alt.Scale(domain=[-0.4, 1.4])),
        color=alt.Color("truth:N", scale=colours, legend=None),
    )
    medians = base.mark_tick(thickness=2, size=44, color=Ink.TEXT).encode(x="median(score):Q")
    ranking = auc(-selection.rank_N[usable_N].astype(np.float64), truth_M == _TRUTHS[0])
    low, high = interval(ranking)
    caption = (
        f"Area under the curve of the ranking: {ranking.value:.3f} (95 % interval {low:.3f} to {min(high, 1.0):.3f}). "
        "It is the chance that a row written as specific is ranked before one written as generic; 0.5 is guessing. "
        "A dot is a row, a bar the median."
    )
    return Drawing((dots + medians).properties(height=130), caption, f"Scores of specific and generic rows. {caption}")


def _length(selection: Selection, run: Run) -> Drawing | None:
    """Does the score follow the output's length? Summed log-likelihood differences tend to."""
    length_N = np.array([run.num_target_tokens.get(str(name), 0) for name in selection.example_id_N])
    usable = np.flatnonzero((length_N > 0) & np.isfinite(selection.score_N))
    if len(usable) < 8 or np.ptp(selection.score_N[usable]) == 0:
        return None
    drawn = usable[np.linspace(0, len(usable) - 1, min(len(usable), _MAX_DOTS)).astype(int)]
    part_N = np.where(selection.kept_N, "kept", "left out")
    rows = [{"tokens": int(length_N[i]), "score": float(selection.score_N[i]), "part": str(part_N[i])} for i in drawn]
    chart = (
        alt.Chart(values(rows))
        .mark_circle(size=26, opacity=0.7)
        .encode(
            x=alt.X("tokens:Q", scale=alt.Scale(type="log", nice=False), title="tokens of the output (log scale)").axis(
                grid=False, tickCount=5, format="~s"
            ),
            y=alt.Y("score:Q", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)),
            color=alt.Color("part:N", scale=categories(_PARTS)),
        )
        .properties(height=220)
    )
    correlation = number(spearman(selection.score_N[usable], length_N[usable]), 2, signed=True)
    sampled = f" {len(drawn):,} of {len(usable):,} examples are drawn." if len(drawn) < len(usable) else ""
    caption = f"Rank correlation {correlation}. Far from zero, the selection is in part a selection by length.{sampled}"
    return Drawing(chart, caption, f"Scatter plot of score against output length. {caption}")


def _categories(selection: Selection, examples: list[Example]) -> Drawing | None:
    """Which kinds of task are kept."""
    category = {example.example_id: example.category for example in examples}
    groups = [category.get(example_id) or "(none)" for example_id in selection.example_id_N]
    shares = kept_share_by_group(groups, selection.kept_N)
    if len(shares) < 2:
        return None
    largest = sorted(shares, key=lambda row: -row[2])[:_MAX_CATEGORIES]
    shown = [row for row in shares if row in largest]
    rows = [
        {"category": name, "share": 100.0 * kept / count, "label": f"{kept} of {count}"} for name, kept, count in shown
    ]
    overall = 100.0 * float(selection.kept_N.mean())
    longest = min(100.0, 5 * np.ceil(1.05 * max(100.0 * kept / count for _, kept, count in shown) / 5))
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("category:N", sort=[row[0] for row in shown], title=None, axis=alt.Axis(labelColor=Ink.TEXT)),
        x=alt.X("share:Q", title="kept, %", scale=alt.Scale(domain=[0, longest * 1.14], nice=False)).axis(tickCount=5),
    )
    bars = base.mark_bar(color=Ink.ACCENT, height=alt.RelativeBandSize(band=0.6))
    labels = base.mark_text(align="right", color=Ink.MUTED, fontSize=11).encode(
        text="label:N", x=alt.datum(longest * 1.14)
    )
    line = alt.Chart(values([{"overall": overall}])).mark_rule(color=Ink.MARK, strokeDash=[4, 3]).encode(x="overall:Q")
    rest = f" The {_MAX_CATEGORIES} largest of {len(shares)} categories are drawn." if len(shown) < len(shares) else ""
    caption = f"Dashed: the share kept overall, {overall:.0f} %.{rest}"
    best, worst = shown[0], shown[-1]
    words = (
        f"Bars of the kept share of {len(shown)} categories, from {best[0]} ({best[1]} of {best[2]}) "
        f"to {worst[0]} ({worst[1]} of {worst[2]}). {caption}"
    )
    return Drawing((bars + labels + line).properties(height=alt.Step(22)), caption, words)
