"""Whether the scores notice wrong and weak instructions."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from tss_lab.report.charts import IN_LINES, Drawing, Ink, categories, figure, in_lines, values
from tss_lab.report.forms import Plain
from tss_lab.report.numbers import DASH
from tss_lab.report.parts import COUNT, Column, Folded, Form, Note, Section, Table, decimal, section, share
from tss_lab.runs import Run
from tss_lab.runs.probe import WEAK, Auroc, Finding, Probe

ORDER = 25

TITLES = {
    "random": "another row's, at random", "near": "another row's, the nearest", "alternative": "an alternative",
    "vague": "a vague one", "paraphrase": "reworded (control)", WEAK: "weak by its label",
}  # fmt: skip


def probe(run: Run) -> Section | None:
    found = run.probe
    if found is None:
        return None
    lead = (
        f"Of {found.examples:,} examples one half kept its instruction, the other got one that doesn't belong to its "
        "output. A score that measures what it says puts the first above the second."
    )
    return section("probe", "Does the score measure it?", lead, [
        *(Note(sentence) for sentence in [*found.advice, *found.notes]),
        figure("probe", "Who notices what", lambda width: _drawn(found, width)),
        aurocs_table(found),
        Folded("Halves, length and precision", [_details(found)]),
        _groups(found),
    ])  # fmt: skip


def _show(value: Auroc) -> str:
    return f"{value.value:.2f}" if value.low != value.low else f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"


def _export(value: Auroc) -> dict[str, Plain]:
    return {
        "": value.value,
        "_low": value.low,
        "_high": value.high,
        "_above": value.num_above,
        "_below": value.num_below,
    }


AUROC = Form(_show, _export, ("", "_low", "_high", "_above", "_below"))
"""A value with its interval, where it has one."""


def aurocs_table(found: Probe) -> Table:
    """A row a setting, a column a kind of bad instruction."""
    kinds = found.kinds
    settings = list(dict.fromkeys(one.setting for one in found.findings))
    at = {(one.setting, one.kind): one.whole for one in found.findings}
    columns = [Column("score", name="setting"), *(Column(TITLES.get(kind, kind), AUROC, kind) for kind in kinds)]
    rows = [[setting.title, *(at.get((setting, kind)) for kind in kinds)] for setting in settings]
    caption = (
        "AUROC [95 % interval]: the chance that a row with a good instruction stands above one with a bad one. "
        "0.5 is guessing; the control should be near it"
    )
    return Table(caption, columns, rows, is_wide=True)


def _details(found: Probe) -> Table:
    rhos = list(found.findings[0].precision) if found.findings else []
    columns = [
        Column("score"), Column("instruction"), Column("first half", AUROC, "first"),
        Column("second half", AUROC, "second"), Column("at like length", AUROC, "length_matched"),
        *(Column(f"good among the best {float(rho):.0%}", share(), f"precision_{rho}") for rho in rhos),
        Column("inputs won", decimal(1), "pairs_won"), Column("inputs with both", COUNT, "pairs"),
    ]  # fmt: skip
    rows = [
        [one.setting.title, TITLES.get(one.kind, one.kind), one.first, one.second, one.length_matched,
         *one.precision.values(), one.pairs_won if one.num_pairs else None, one.num_pairs or None]
        for one in found.findings
    ]  # fmt: skip
    return Table("Two halves drawn beforehand; rows of like output length only; precision", columns, rows, is_wide=True)


def _groups(found: Probe) -> Folded | None:
    """By category and length, of the advised setting, else of the first."""
    setting = found.advised or (found.findings[0].setting if found.findings else None)
    mine = [one for one in found.findings if one.setting == setting and one.groups]
    if not mine:
        return None
    names = list(dict.fromkeys(name for one in mine for name in one.groups))
    columns = [Column("rows"), *(Column(TITLES.get(one.kind, one.kind), AUROC, one.kind) for one in mine)]
    rows = [[name, *(one.groups.get(name) for one in mine)] for name in names]
    title = "" if setting is None else setting.title
    return Folded("By category and length", [Table(f"AUROC of {title}", columns, rows, is_wide=True)])


def summary_rows(run: Run) -> list[tuple[str, str]]:
    """For the terminal: what the run's own method notices, and what is advised."""
    found = run.probe
    if found is None:
        return []
    name = run.config.method.name.removesuffix("_exp")
    rows = []
    for title, kinds in (("wrong instructions noticed", ("random", "near")), ("weak instructions noticed", (WEAK,))):
        cells = [_in_words(one, kind) for kind in kinds for one in _of(found.of(kind), name)]
        if cells:
            rows.append((title, ", ".join(cells)))
    return [*rows, ("probe", found.advice[0] if found.advice else DASH)]


def _of(findings: Sequence[Finding], name: str) -> list[Finding]:
    return [one for one in findings if one.setting.method == name][:1]


def _in_words(one: Finding, kind: str) -> str:
    said = f"{kind} {_show(one.whole)}" if kind != WEAK else _show(one.whole)
    return f"{said} by {one.setting.title}"


def _drawn(found: Probe, width: int) -> Drawing | None:
    kinds = [kind for kind in found.kinds if found.of(kind)]
    rows = [
        {"setting": in_lines(one.setting.title, 14), "kind": TITLES.get(one.kind, one.kind), "auroc": one.whole.value,
         "low": one.whole.low if one.whole.low == one.whole.low else one.whole.value,
         "high": one.whole.high if one.whole.high == one.whole.high else one.whole.value}
        for one in found.findings if one.whole.value == one.whole.value
    ]  # fmt: skip
    if not rows:
        return None
    titles = [TITLES.get(kind, kind) for kind in kinds]
    names = list(dict.fromkeys(row["setting"] for row in rows))
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("setting:N", sort=names, title=None, axis=alt.Axis(minExtent=90, **IN_LINES.to_dict())),
        yOffset=alt.YOffset("kind:N", sort=titles),
        color=alt.Color("kind:N", sort=titles, scale=categories(dict(zip(titles, Ink.SERIES, strict=False))),
                        legend=alt.Legend(columns=3 if width > 500 else 1)),
    )  # fmt: skip
    axis = alt.Axis(grid=True, tickCount=6)
    low = min([0.4, *(one.whole.low for one in found.findings if one.whole.low == one.whole.low)])
    scale = alt.Scale(domain=[low, 1.0], nice=False, zero=False)
    x = alt.X("auroc:Q", title="AUROC", scale=scale, axis=axis)
    dots = base.mark_point(filled=True, size=50, opacity=1).encode(x=x)
    bars = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", title="AUROC", scale=scale), x2="high:Q")
    line = alt.Chart(values([{"chance": 0.5}])).mark_rule(color=Ink.MARK, strokeDash=[4, 3])
    chance = line.encode(x=alt.X("chance:Q", title="AUROC", scale=scale))
    caption = "A dot is an AUROC, a bar its 95 % interval; dashed: guessing. Length is a control that reads no text."
    chart = (chance + bars + dots).properties(height=max(60, 14 * len(names) * len(kinds)))
    return Drawing(chart, caption, f"AUROC of each score for each kind of bad instruction. {caption}")
