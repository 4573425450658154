"""From comparable runs to rows: a row a (model, data set, method, ρ, budget), means over its seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tss_lab.report.comparison.comparable import MOST_NATS_APART, differing, variant
from tss_lab.report.comparison.folders import MEASURES, Run
from tss_lab.report.comparison.names import method_label, method_order
from tss_lab.report.seeds import HeldOutLosses, SeedMean, mean_accuracies, mean_measure
from tss_lab.report.numbers import number
from tss_lab.store import fingerprint
from tss_lab.types import EvaluationResult

ZERO_SHOT = "zero-shot"


@dataclass(frozen=True)
class Row:
    """One line of the results. ``rho`` is None for the untuned model. ``accuracies`` are in percent, ``sum`` last."""

    model: str
    dataset: str
    method: str
    variant: str
    rho: float | None
    budget: str
    runs: Sequence[Run]
    accuracies: Mapping[str, SeedMean]
    held_out: Mapping[str, SeedMean]

    @property
    def label(self) -> str:
        """The method as it is shown, with what tells its variants apart."""
        text = "zero-shot" if self.method == ZERO_SHOT else method_label(self.method, self.variant)
        return text if self.budget == "examples" else f"{text}, budget in {self.budget}"

    @property
    def results(self) -> dict[int, EvaluationResult]:
        """Seed -> what its model answered."""
        return {run.seed: run.tuned for run in self.runs if run.tuned is not None}

    @property
    def losses(self) -> dict[int, HeldOutLosses]:
        """Seed -> its model's loss of each held-out example."""
        return {run.seed: run.losses for run in self.runs if run.losses is not None}

    def measured(self, name: str) -> dict[int, float]:
        """Seed -> a held-out measure after tuning."""
        found = {}
        for run in self.runs:
            after = run.held_out.get(name, (None, None))[1]
            if after is not None:
                found[run.seed] = after.value
        return found


@dataclass(frozen=True)
class Pair:
    """A model on a data set: the untuned model, all of the data, and the methods by ρ."""

    model: str
    dataset: str
    zero_shot: Row | None
    full: Sequence[Row]
    methods: Sequence[Row]
    notes: Sequence[str] = field(default=())

    @property
    def rows(self) -> list[Row]:
        """In the order in which they are shown."""
        return [*([self.zero_shot] if self.zero_shot else []), *self.full, *self.methods]

    @property
    def title(self) -> str:
        return f"{self.model} on {self.dataset}"


def make_pairs(runs: Sequence[Run]) -> list[Pair]:
    """The comparable runs as pairs of model and data set, in the order in which they come."""
    pairs = []
    for model, dataset in dict.fromkeys((run.model, run.dataset) for run in runs):
        of_model = [run for run in runs if run.model == model]
        mine = [run for run in of_model if run.dataset == dataset]
        tuned = [run for run in mine if run.is_tuned]
        if not tuned and any(run.is_tuned for run in of_model):
            continue  # the untuned model stands beside every data set of its tuned ones
        notes: list[str] = []
        zero_shot = _zero_shot(model, dataset, of_model, tuned or mine, notes)
        rows = _rows(model, dataset, tuned, notes)
        full = [row for row in rows if row.method == "full"]
        methods = [row for row in rows if row.method != "full"]
        pairs.append(Pair(model, dataset, zero_shot, full, methods, notes))
    return pairs


def _rows(model: str, dataset: str, runs: Sequence[Run], notes: list[str]) -> list[Row]:
    sensitive = _same_alternatives(runs, notes)
    names = _variant_names(runs)
    grouped: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        key = (run.rho, method_order(run.method), run.method, names[id(run)], run.budget)
        grouped.setdefault(key, []).append(run)
    rows = []
    for (rho, _, method, name, budget), mine in sorted(grouped.items(), key=lambda item: item[0]):
        ordered = sorted(mine, key=lambda run: run.seed)
        results = [run.tuned for run in ordered if run.tuned is not None]
        held_out = {}
        for measure in MEASURES:
            found = [
                after
                for run in ordered
                if (after := run.held_out.get(measure, (None, None))[1]) is not None
                and (measure != "sensitivity" or id(run) in sensitive)
            ]
            if found:
                held_out[measure] = mean_measure(found)
        accuracies = mean_accuracies(results) if results else {}
        rows.append(Row(model, dataset, method, name, rho, budget, ordered, accuracies, held_out))
    return rows


def _same_alternatives(runs: Sequence[Run], notes: list[str]) -> set[int]:
    """Runs whose instruction sensitivity is taken against the same alternatives, told by the untuned model's."""
    having = [run for run in runs if "sensitivity" in run.held_out]
    same = {
        id(run)
        for run in having
        if abs(run.held_out["sensitivity"][0].value - having[0].held_out["sensitivity"][0].value) <= MOST_NATS_APART
    }
    if len(same) < len(having):
        notes.append(
            f"Instruction sensitivity is left out for {len(having) - len(same)} of {len(having)} runs: it was taken "
            f"against other alternatives than in {having[0].name}."
        )
    return same


def _variant_names(runs: Sequence[Run]) -> dict[int, str]:
    """Run -> the settings that tell it from other variants of its method; nothing where there is one variant."""
    names: dict[int, str] = {}
    for method in {run.method for run in runs}:
        mine = [run for run in runs if run.method == method]
        facts = [variant(run) for run in mine]
        apart = differing(facts)
        shown = {
            fingerprint(one): ", ".join(f"{name.rpartition('.')[2]} {_plain(one.get(name))}" for name in apart[:3])
            for one in facts
        }
        ambiguous = len(set(shown.values())) < len(shown)
        for run, one in zip(mine, facts, strict=True):
            key = fingerprint(one)
            names[id(run)] = shown[key] + (f", {key[:4]}" if ambiguous else "")
    return names


def _plain(value: Any) -> str:
    text = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 24 else f"{text[:23]}…"


def _zero_shot(
    model: str, dataset: str, of_model: Sequence[Run], of_pair: Sequence[Run], notes: list[str]
) -> Row | None:
    """The untuned model: benchmarks from any run of the model, held-out measures from runs on this data set."""
    evaluated = [run for run in of_model if run.zero_shot is not None]
    accuracies: dict[str, SeedMean] = {}
    if evaluated:
        first = evaluated[0].zero_shot or {}
        accuracies = {name: SeedMean(one.value, math.nan, one.standard_error, 1, one.n) for name, one in first.items()}
        sums = [run.zero_shot["sum"].value for run in evaluated if run.zero_shot]
        if max(sums) - min(sums) > 1e-6:
            notes.append(
                f"The untuned model's sum is not the same in all runs: {number(min(sums), 3)} to "
                f"{number(max(sums), 3)}; the one of {evaluated[0].name} is shown."
            )
    measured = next((run.held_out for run in of_pair if run.held_out), {})
    held_out = {name: mean_measure([before]) for name, (before, _) in measured.items()}
    if not accuracies and not held_out:
        return None
    runs = [run for run in of_pair if run.zero_shot is not None or run.held_out][:1] or evaluated[:1]
    return Row(model, dataset, ZERO_SHOT, "", None, "examples", runs, accuracies, held_out)
