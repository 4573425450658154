"""Which runs can stand side by side. What most runs share is the reference; who differs is set aside, with reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tss_lab.errors import ConfigError
from tss_lab.methods import build_method
from tss_lab.report.numbers import number
from tss_lab.runs import Run
from tss_lab.runs.owner import differing, flat
from tss_lab.store import fingerprint
from tss_lab.types import PromptKind

_MOST_NATS_APART = 1e-3
"""The untuned model's held-out measures may differ by so much between machines; beyond it the examples differ."""
_NO_VALUE_TO_SHOW = {"items", "examples", "held-out examples"}
"""Facts that are fingerprints of many things: that they differ is all there is to say."""

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Unused:
    """A folder that isn't compared, and why."""

    folder: Path
    reason: str

    @property
    def place(self) -> str:
        """The folder by its last two names."""
        return short_path(self.folder)


def short_path(folder: Path) -> str:
    """A folder by its last two names, so that pages don't tell where on a machine it lies."""
    return "/".join(folder.parts[-2:])


def align(runs: Sequence[Run]) -> tuple[list[Run], list[Unused]]:
    """The runs that were asked the same question, and the others with what sets them apart.

    Same weights under one model name; same evaluation over all runs; same data, training and template, and
    the same held-out examples, for a model on a data set; one run a seed.
    """
    unused: list[Unused] = []
    kept = _agreeing(runs, lambda run: run.config.model.name, weights, "other weights under the same name", unused)
    kept = _agreeing(kept, lambda _: None, question, "another evaluation", unused)
    kept = _agreeing(kept, model_and_dataset, setting, "other settings", unused)
    kept = _same_held_out_loss(kept, unused)
    return _one_a_seed(kept, unused), unused


def model_and_dataset(run: Run) -> tuple[str, str]:
    return run.config.model.name, run.config.dataset.name


def weights(run: Run) -> Facts:
    """The untuned model by its content."""
    return {name: run.facts("model").get(name) for name in ("weights_sha256", "tokenizer_sha256")}


def question(run: Run) -> Facts:
    """What determines an evaluation's items and numbers, beside the model; empty where nothing was evaluated.

    Where the items came from doesn't matter, as long as they are the same.
    """
    asked = run.tuned or run.zero_shot
    if asked is None:
        return {}
    settings = _without(run.config.eval.identity(), "mirror", "baseline", "held_out_sensitivity")
    settings["benchmarks"] = sorted(settings["benchmarks"])
    return flat({"eval": settings}) | {
        "lm-eval": run.facts("versions").get("lm-eval"),
        **{name: asked.facts.get(name) for name in ("shots", "metric", "task_versions")},
        "items": fingerprint({"items": sorted(map(str, asked.result.item_id_N))}),
    }


def setting(run: Run) -> Facts:
    """What all tuned runs of a model on a data set must share: data, training, template; not method, ρ and seed."""
    if not run.is_tuned:
        return {}
    config, table = run.config, run.held_out_table
    held_out = None if table is None else fingerprint({"held out": sorted(map(str, table["example_id"]))})
    return flat(
        {
            "dataset": _without(config.dataset.identity(), "name"),
            "sft": config.sft.identity(),
            "scoring": _without(config.scoring.identity(), "dtype"),
            "trainer": config.trainer.identity(),
            "rows": {name: run.facts("dataset").get(name) for name in ("rows_read", "used", "held_out")},
            "held-out examples": held_out,
            "examples": run.facts("made_of").get("data"),
        }
    )


def variant(run: Run) -> Facts:
    """What tells two settings of one method apart: its own, its chooser's, and those of what its scores are made of."""
    config, kinds = run.config, prompt_kinds(run)[0]
    found: dict[str, Any] = {"method": _without(config.method.identity(), "name"), "choose": config.choose.identity()}
    if kinds:
        found["scoring"] = {"dtype": config.scoring.dtype}
    if PromptKind.ALTERNATIVE in kinds:
        found["alternatives"] = config.alternatives.identity()
        if config.alternatives.kind != "retrieved":
            found["generator"] = config.generator.identity()
    return flat(found)


def prompt_kinds(run: Run) -> tuple[frozenset[PromptKind], str]:
    """The prompts that the method's score is made of; and, where its class isn't here to say so, a note.

    Without the class, the run's own likelihoods tell.
    """
    method = run.config.method
    try:
        return build_method(method).needs.kinds, ""
    except ConfigError:
        note = (
            f"The class of method {method.name} ({method.target}) can't be loaded here; what its scores are made of is "
            "taken from the likelihoods of its runs."
        )
        return run.prompt_kinds, note


def _without(values: dict[str, Any], *left_out: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in left_out}


def _agreeing(
    runs: Sequence[Run],
    group_of: Callable[[Run], Hashable],
    facts_of: Callable[[Run], Facts],
    what: str,
    unused: list[Unused],
) -> list[Run]:
    """The runs that share the commonest facts of their group, counted in tuned runs first; the first among equals.

    A run without facts isn't asked.
    """
    facts = {id(run): facts_of(run) for run in runs}
    groups: dict[Hashable, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if facts[id(run)]:
            groups[group_of(run)][fingerprint(facts[id(run)])].append(run)
    left_out = set()
    for alike in groups.values():
        reference = max(alike.values(), key=lambda mine: (sum(run.is_tuned for run in mine), len(mine)))
        for run in (run for others in alike.values() if others is not reference for run in others):
            left_out.add(id(run))
            difference = _difference(facts[id(run)], facts[id(reference[0])])
            whom = f"as in {len(reference)} other {'run' if len(reference) == 1 else 'runs'}"
            unused.append(Unused(run.folder, f"{what}: {difference}, {whom}, for instance {reference[0].name}"))
    return [run for run in runs if id(run) not in left_out]


def _difference(mine: Facts, theirs: Facts) -> str:
    apart = differing([mine, theirs])
    shown = [
        f"other {name}"
        if name in _NO_VALUE_TO_SHOW
        else f"{name} is {_short(mine.get(name))} and not {_short(theirs.get(name))}"
        for name in apart[:3]
    ]
    return ", ".join(shown) + (f", and {len(apart) - 3} more" if len(apart) > 3 else "")


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _same_held_out_loss(runs: list[Run], unused: list[Unused]) -> list[Run]:
    left_out = []
    for place in dict.fromkeys(map(model_and_dataset, runs)):
        mine = [run for run in runs if run.is_tuned and model_and_dataset(run) == place]
        for run, value, middle, reference in far_from_the_middle(mine, "nll"):
            left_out.append(id(run))
            reason = f"the untuned model's loss is {number(value, 4)} there and {number(middle, 4)} in {reference.name}"
            unused.append(Unused(run.folder, f"other held-out examples, or another precision: {reason}"))
    return [run for run in runs if id(run) not in left_out]


def far_from_the_middle(runs: Sequence[Run], name: str) -> list[tuple[Run, float, float, Run]]:
    """Runs whose untuned model had another value of a held-out measure than the one in the middle.

    Each with its value, the middle one, and the run that has it: they were measured on something else.
    """
    having = [(measure.before.value, run) for run in runs if (measure := run.measure(name)) is not None]
    if not having:
        return []
    middle, reference = sorted(having, key=lambda one: one[0])[(len(having) - 1) // 2]
    return [(run, value, middle, reference) for value, run in having if abs(value - middle) > _MOST_NATS_APART]


def _one_a_seed(runs: list[Run], unused: list[Unused]) -> list[Run]:
    seen: dict[Hashable, Run] = {}
    kept = []
    for run in runs:
        config = run.config
        key = (model_and_dataset(run), config.method.name, fingerprint(variant(run)), config.share, budget(run))
        if run.is_tuned and (first := seen.setdefault((*key, config.seed), run)) is not run:
            reason = f"the same settings and seed as {short_path(first.folder)}; one of them counts"
            unused.append(Unused(run.folder, reason))
        else:
            kept.append(run)
    return kept


def budget(run: Run) -> str:
    """What ρ counts; ``examples`` for a method that keeps all of them, whatever ρ."""
    return run.config.budget.kind if run.config.method.uses_rho else "examples"
