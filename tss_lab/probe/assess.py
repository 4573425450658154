"""From the scores of a probe's rows to what they say: pure functions. Axis N: rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tss_lab.probe.corrupt import Kind, ProbeRow
from tss_lab.probe.measure import (
    FEWEST,
    auroc,
    auroc_difference,
    grouped_auroc,
    pairs_won,
    precision_at,
    quantile_strata,
)
from tss_lab.runs.probe import WEAK, Auroc, Finding, Setting
from tss_lab.types import BoolArray, FloatArray, IntArray

LENGTH = "length"
"""The control that looks at nothing but the output's length, longer ones first."""
_LENGTH_RANGES = 3
_LENGTH_STRATA = 5


@dataclass(frozen=True)
class Scored:
    """What one setting makes of N rows: larger is kept first; NaN where it can't score a row."""

    setting: Setting
    preference_N: FloatArray


@dataclass(frozen=True)
class Rows:
    """What is known of N rows beside their scores."""

    is_good_N: BoolArray
    is_second_N: BoolArray
    num_tokens_N: IntArray
    category_N: npt.NDArray[np.object_]
    input_N: npt.NDArray[np.object_]
    """Rows of one input belong together; "" belongs to nothing."""

    def of(self, keep_N: BoolArray) -> Rows:
        return Rows(
            self.is_good_N[keep_N], self.is_second_N[keep_N], self.num_tokens_N[keep_N], self.category_N[keep_N],
            self.input_N[keep_N],
        )  # fmt: skip


def notice_wrong(
    rows: Sequence[ProbeRow], scored: Sequence[Scored], num_tokens_N: IntArray, rhos: Sequence[float], seed: int
) -> list[Finding]:
    """Each setting on each kind of replaced instruction: rows with their own one against those."""
    facts = Rows(
        np.array([row.kind is Kind.OWN for row in rows], dtype=np.bool_),
        np.array([row.is_second for row in rows], dtype=np.bool_),
        num_tokens_N,
        np.array([row.example.category or "" for row in rows], dtype=object),
        np.array(["" for _ in rows], dtype=object),
    )
    usable_N = _usable(scored)
    kinds = [kind for kind in Kind if kind is not Kind.OWN and any(row.kind is kind for row in rows)]
    found: list[Finding] = []
    for kind in kinds:
        mine_N = usable_N & np.array([row.kind in (Kind.OWN, kind) for row in rows], dtype=np.bool_)
        found += [
            _finding(one.setting, kind.value, one.preference_N[mine_N], facts.of(mine_N), rhos, seed)
            for one in [*scored, _length_control(num_tokens_N)]
        ]
    return found


def notice_weak(facts: Rows, scored: Sequence[Scored], rhos: Sequence[float], seed: int) -> list[Finding]:
    """Each setting on rows whose label says whether the instruction matters."""
    usable_N = _usable(scored)
    return [
        _finding(one.setting, WEAK, one.preference_N[usable_N], facts.of(usable_N), rhos, seed)
        for one in [*scored, _length_control(facts.num_tokens_N)]
    ]


def advise(
    findings: Sequence[Finding], rows: Sequence[ProbeRow], scored: Sequence[Scored], seed: int
) -> tuple[list[str], Setting | None]:
    """What to take, in sentences: the cheapest setting that isn't worse than the best beyond noise.

    Judged on all kinds of wrong instruction together. No setting where none is told from chance.
    """
    usable_N = _usable(scored)
    mine_N = usable_N & np.array([row.kind is Kind.OWN or row.kind.is_wrong for row in rows], dtype=np.bool_)
    is_own_N = np.array([row.kind is Kind.OWN for row in rows], dtype=np.bool_)[mine_N]
    preference = {one.setting: one.preference_N[mine_N] for one in scored}
    groups_N = _names([row.original_id for row, mine in zip(rows, mine_N, strict=True) if mine])
    judged = {setting: grouped_auroc(values_N, is_own_N, groups_N, seed) for setting, values_N in preference.items()}
    if not judged or all(math.isnan(one.low) for one in judged.values()):
        needed = 2 * FEWEST
        return [f"Too few rows for an interval: a probe needs at least {needed}, better 200 (probe.examples)."], None
    best = max(judged, key=lambda setting: judged[setting].value)
    if not judged[best].low > 0.5:
        said = ["No score tells a wrong instruction from a right one beyond chance on these rows with this model: none "
                "is advised."]  # fmt: skip
        return said + _about_weak(findings, None), None
    level = [best]
    for setting in judged:
        _, low, _ = auroc_difference(preference[best], preference[setting], is_own_N, groups_N, seed)
        if not low > 0 and judged[setting].low > 0.5:
            level.append(setting)
    taken = min(level, key=lambda setting: (setting.pairs, -judged[setting].value))
    said = [
        f"A wrong instruction is noticed in {_in_100(judged[taken])} by {taken.title}"
        + (f" (the best, {best.title}: {_in_100(judged[best])})" if taken != best else "")
        + f": take method={taken.method}"
        + (f" alternatives={taken.source}" if taken.source else "")
        + "."
    ]
    others = sorted((one for one in judged if one != taken and one != best), key=lambda one: -judged[one].value)
    if others:
        said.append("Others: " + "; ".join(f"{one.title} {100 * judged[one].value:.0f}" for one in others) + ".")
    return said + _warnings(findings, taken), taken


def _warnings(findings: Sequence[Finding], taken: Setting) -> list[str]:
    """What the setting doesn't do."""
    mine = {one.kind: one for one in findings if one.setting == taken}
    said = []
    control = mine.get(Kind.PARAPHRASE.value)
    if control and control.whole.low > 0.5:
        said.append(
            f"It also tells a mere rewording from the original ({control.whole.value:.2f}): it reacts to wording."
        )
    return said + _about_weak(findings, taken)


def _about_weak(findings: Sequence[Finding], taken: Setting | None) -> list[str]:
    """Whether the setting, else the best one, notices instructions that hardly matter; nothing without labels."""
    weak = [one for one in findings if one.kind == WEAK and one.setting.method != LENGTH]
    length = next((one.whole for one in findings if one.kind == WEAK and one.setting.method == LENGTH), None)
    if not weak or length is None:
        return []
    mine = next((one for one in weak if one.setting == taken), max(weak, key=lambda one: one.whole.value))
    told = mine.whole.low > max(0.5, length.value)
    return [
        f"A weak instruction (one that hardly matters) is noticed in {_in_100(mine.whole)} by {mine.setting.title}; "
        + f"output length alone has {100 * length.value:.0f}"
        + ("." if told else ": on these rows it isn't told from that.")
    ]


def _in_100(found: Auroc) -> str:
    return f"{100 * found.value:.0f} of 100 pairs [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def _finding(
    setting: Setting, kind: str, preference_N: FloatArray, rows: Rows, rhos: Sequence[float], seed: int
) -> Finding:
    def on(keep_N: BoolArray) -> Auroc:
        mine = rows.of(keep_N)
        return _auroc(preference_N[keep_N], mine, seed)

    won, count = pairs_won(preference_N, rows.is_good_N, _names(rows.input_N))
    return Finding(
        setting, kind, _auroc(preference_N, rows, seed), on(~rows.is_second_N), on(rows.is_second_N),
        auroc(preference_N, rows.is_good_N, seed, quantile_strata(rows.num_tokens_N, _LENGTH_STRATA)),
        {f"{rho:g}": precision_at(preference_N, rows.is_good_N, rho) for rho in rhos},
        {name: on(keep_N) for name, keep_N in _groups(rows).items()}, won, count,
    )  # fmt: skip


def _auroc(preference_N: FloatArray, rows: Rows, seed: int) -> Auroc:
    """Rows of one input are drawn together where there are such."""
    inputs_N = _names(rows.input_N)
    if len(np.unique(inputs_N)) == len(inputs_N):
        return auroc(preference_N, rows.is_good_N, seed)
    return grouped_auroc(preference_N, rows.is_good_N, inputs_N, seed)


def _groups(rows: Rows) -> dict[str, BoolArray]:
    """Categories and ranges of length that hold enough rows of either kind."""
    counts = Counter(zip(rows.category_N.tolist(), rows.is_good_N.tolist(), strict=True))
    names = sorted({name for name, _ in counts if name})
    found = {
        name: np.asarray(rows.category_N == name)
        for name in names
        if min(counts[name, True], counts[name, False]) >= FEWEST and len(names) > 1
    }
    if len(rows.num_tokens_N) == 0:
        return found
    range_N = quantile_strata(rows.num_tokens_N, _LENGTH_RANGES)
    for number in np.unique(range_N):
        keep_N = range_N == number
        tokens = rows.num_tokens_N[keep_N]
        if min(int(rows.is_good_N[keep_N].sum()), int((~rows.is_good_N[keep_N]).sum())) >= FEWEST:
            found[f"{tokens.min()} to {tokens.max()} tokens"] = keep_N
    return found


def _usable(scored: Sequence[Scored]) -> BoolArray:
    """Rows that every setting can score, so that all are compared on the same ones."""
    return np.asarray(np.all([np.isfinite(one.preference_N) for one in scored], axis=0), dtype=np.bool_)


def _length_control(num_tokens_N: IntArray) -> Scored:
    return Scored(Setting(LENGTH, "", 0.0), num_tokens_N.astype(np.float64))


def _names(name_N: Sequence[str] | npt.NDArray[np.object_]) -> IntArray:
    """A number a name; each "" gets one of its own."""
    known: dict[str, int] = {}
    numbers = [known.setdefault(name, len(known)) if name else -1 - place for place, name in enumerate(name_N)]
    return np.array(numbers, dtype=np.int64)
