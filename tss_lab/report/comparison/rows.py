"""From comparable runs to rows: a row a (model, data set, method, ρ, budget), means over its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tss_lab.report.comparison.align import budget, far_from_the_middle, model_and_dataset, prompt_kinds, variant
from tss_lab.report.numbers import method_title, number
from tss_lab.report.paired import HeldOutLosses, SeedMean, mean_accuracies, mean_measure
from tss_lab.runs import Run
from tss_lab.runs.owner import differing
from tss_lab.store import fingerprint
from tss_lab.types import EvaluationResult

ZERO_SHOT = "zero-shot"
MEASURES = ("nll", "sensitivity")
PAPER_METHODS = ("random", "ppl", "ifd", "tss", "tss_exp", "tss_pp", "tss_pp_exp")


def method_order(name: str) -> tuple[int, str]:
    """The paper's methods in the paper's order, then others by name."""
    return (PAPER_METHODS.index(name) if name in PAPER_METHODS else len(PAPER_METHODS), name)


@dataclass(frozen=True)
class Row:
    """One line of the results. ``rho`` is None for the untuned model."""

    model: str
    dataset: str
    method: str
    variant: str
    """The settings that tell it from the method's other rows, in words."""
    rho: float | None
    budget: str
    runs: Sequence[Run]
    means: Mapping[str, SeedMean]
    """Benchmark and ``sum``, in percent; ``nll`` and ``sensitivity`` of the held-out examples, in nats."""

    @property
    def label(self) -> str:
        """The method as it is shown, with what tells its variants apart."""
        text = f"{method_title(self.method)} ({self.variant})" if self.variant else method_title(self.method)
        return text if self.budget == "examples" else f"{text}, budget in {self.budget}"

    @property
    def seeds(self) -> list[int]:
        """None for the untuned model."""
        return [] if self.rho is None else [run.config.seed for run in self.runs]

    @cached_property
    def results(self) -> dict[int, EvaluationResult]:
        """Seed -> what its model answered."""
        return {run.config.seed: run.tuned.result for run in self.runs if run.tuned is not None}

    @cached_property
    def losses(self) -> dict[int, HeldOutLosses]:
        """Seed -> its model's loss of each held-out example."""
        return {run.config.seed: losses for run in self.runs if (losses := losses_of(run)) is not None}

    def measured(self, what: str) -> dict[int, float]:
        """Seed -> the sum of accuracies (``sum``), or a held-out measure after tuning."""
        if what == "sum":
            return {seed: result.total.value for seed, result in self.results.items()}
        found = {run.config.seed: run.measure(what) for run in self.runs}
        return {seed: one.after.value for seed, one in found.items() if one is not None and one.after is not None}


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
    for model, dataset in dict.fromkeys(map(model_and_dataset, runs)):
        of_model = [run for run in runs if run.config.model.name == model]
        mine = [run for run in of_model if run.config.dataset.name == dataset]
        tuned = [run for run in mine if run.is_tuned]
        if not tuned and any(run.is_tuned for run in of_model):
            continue  # the untuned model stands beside every data set of its tuned ones
        notes = [note for note in dict.fromkeys(prompt_kinds(run)[1] for run in tuned) if note]
        zero_shot = _zero_shot(model, dataset, of_model, tuned or mine, notes)
        rows = _rows(model, dataset, tuned, notes)
        full = [row for row in rows if row.method == "full"]
        pairs.append(Pair(model, dataset, zero_shot, full, [row for row in rows if row.method != "full"], notes))
    return pairs


def _rows(model: str, dataset: str, runs: Sequence[Run], notes: list[str]) -> list[Row]:
    others = far_from_the_middle(runs, "sensitivity")
    if others:
        notes.append(
            f"Instruction sensitivity is left out for {len(others)} of {len(runs)} runs: it was taken against other "
            f"alternatives than in {others[0][-1].name}."
        )
    insensitive = {id(run) for run, *_ in others}
    words = _variants_in_words(runs)
    grouped: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        method = run.config.method.name
        key = (run.config.share, method_order(method), method, words[id(run)], budget(run))
        grouped.setdefault(key, []).append(run)
    rows = []
    for (rho, _, method, name, kind), mine in sorted(grouped.items(), key=lambda item: item[0]):
        ordered = sorted(mine, key=lambda run: run.config.seed)
        results = [run.tuned.result for run in ordered if run.tuned is not None]
        means = mean_accuracies(results) if results else {}
        for what in MEASURES:
            measures = [run.measure(what) for run in ordered if what == "nll" or id(run) not in insensitive]
            if found := [one.after for one in measures if one is not None and one.after is not None]:
                means[what] = mean_measure(found)
        rows.append(Row(model, dataset, method, name, rho, kind, ordered, means))
    return rows


def _variants_in_words(runs: Sequence[Run]) -> dict[int, str]:
    """Run -> the settings that tell it from other variants of its method; nothing where there is one variant."""
    words: dict[int, str] = {}
    for method in {run.config.method.name for run in runs}:
        facts = {id(run): variant(run) for run in runs if run.config.method.name == method}
        apart = differing(list(facts.values()))
        told = _telling(apart)[:3]
        shown = {fingerprint(one): ", ".join(_setting(name, one.get(name)) for name in told) for one in facts.values()}
        ambiguous = len(set(shown.values())) < len(shown)
        for run, one in facts.items():
            key = fingerprint(one)
            words[run] = shown[key] + (f", {key[:4]}" if ambiguous else "")
    return words


def _telling(names: Sequence[str]) -> list[str]:
    """Without what the name of a group stands for: another generator has another model, too."""
    groups = [name.removesuffix("name") for name in names if name.endswith(".name")]
    return [name for name in names if not any(name.startswith(group) and name != f"{group}name" for group in groups)]


def _setting(name: str, value: Any) -> str:
    """``method.tau`` as ``tau 0.5``; ``generator.name`` and ``alternatives.kind`` by their group."""
    group, _, last = name.rpartition(".")
    text = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    subject = group.rpartition(".")[2] if last in ("name", "kind") else last.rstrip("_")
    return f"{subject} {text if len(text) <= 24 else f'{text[:23]}…'}"


def _zero_shot(
    model: str, dataset: str, of_model: Sequence[Run], of_pair: Sequence[Run], notes: list[str]
) -> Row | None:
    """The untuned model: benchmarks from any run of the model, held-out measures from runs on this data set."""
    results = [(run.name, run.zero_shot.result) for run in of_model if run.zero_shot is not None]
    sums = [result.total.value for _, result in results]
    if sums and max(sums) - min(sums) > 1e-6:
        notes.append(
            f"The untuned model's sum is not the same in all runs: {number(min(sums), 3)} to "
            f"{number(max(sums), 3)}; the one of {results[0][0]} is shown."
        )
    means = mean_accuracies([results[0][1]]) if results else {}
    measured = next((run.held_out for run in of_pair if run.held_out), [])
    means |= {one.name: mean_measure([one.before]) for one in measured if one.name in MEASURES}
    runs = [run for run in (*of_pair, *of_model) if run.zero_shot is not None or run.held_out][:1]
    return Row(model, dataset, ZERO_SHOT, "", None, "examples", runs, means) if means else None


def losses_of(run: Run) -> HeldOutLosses | None:
    """The tuned model's loss of each held-out example; None where none was taken."""
    table = run.held_out_table
    if table is None or table["loglik_after"].is_null().any():
        return None
    return HeldOutLosses(
        table["example_id"].to_numpy().astype(object), table["n_target_tokens"].to_numpy(),
        -table["loglik_after"].to_numpy(),
    )  # fmt: skip
