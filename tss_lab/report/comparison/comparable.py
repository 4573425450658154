"""Which runs can stand side by side. What most runs share is the reference; who differs is set aside, with reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from tss_lab.report.comparison.folders import Run, Unused, short_path
from tss_lab.report.numbers import number
from tss_lab.store import fingerprint

_SFT_MEMORY = {
    "tokens_per_pack", "packing", "gradient_checkpointing", "cross_entropy", "logits_memory_mb", "checkpoint_every",
    "validate_every",
}  # fmt: skip
_GENERATOR_PLACE = {
    "base_url", "api_key_env", "batch_size", "device", "concurrency", "request_retries", "requests_per_minute",
    "timeout_seconds",
}  # fmt: skip
_ALTERNATIVES_SIZE = {"exact_search_up_to", "audit_sample"}
_NEEDS_NO_SCORES = {"random", "full"}
_NEEDS_NO_ALTERNATIVES = _NEEDS_NO_SCORES | {"ppl", "ifd"}
MOST_NATS_APART = 1e-3
"""The untuned model's held-out loss may differ by so much between machines; beyond it the examples differ."""


def comparable(runs: Sequence[Run]) -> tuple[list[Run], list[Unused]]:
    """The runs that were asked the same question, and the others with what sets them apart.

    Same weights under one model name; same evaluation over all runs; same data, training and template, and
    the same held-out examples, for a model on a data set; one run a seed.
    """
    unused: list[Unused] = []
    kept = _agreeing(list(runs), lambda run: run.model, _weights, "other weights under the same name", unused)
    any_tuned = any(run.tuned is not None for run in kept)
    kept = _agreeing(
        kept, lambda _: None, lambda run: run.question, "another evaluation", unused,
        only=lambda run: run.tuned is not None or not any_tuned,
    )  # fmt: skip
    kept = _same_as_tuned(kept, unused)
    kept = _agreeing(
        kept, lambda run: (run.model, run.dataset), setting, "other settings", unused, only=lambda run: run.is_tuned
    )
    kept = _same_held_out(kept, unused)
    return _one_a_seed(kept, unused), unused


def setting(run: Run) -> dict[str, Any]:
    """What all runs of a model on a data set must share: data, training and template, not method, ρ and seed."""
    settings, read = run.settings, run.record.get("dataset") or {}
    sft = {name: value for name, value in settings["sft"].items() if name not in _SFT_MEMORY}
    return flat(
        {
            "dataset": {name: value for name, value in settings["dataset"].items() if name != "name"},
            "sft": sft,
            "scoring": {name: settings["scoring"].get(name) for name in ("template", "max_length")},
            "trainer": {"precision": (settings.get("trainer") or {}).get("precision")},
            "rows": {name: read.get(name) for name in ("rows_read", "used", "held_out")},
        }
    )


def variant(run: Run) -> dict[str, Any]:
    """What tells two settings of one method apart: its own, and those of what its scores are made of."""
    settings = run.settings
    found: dict[str, Any] = {name: value for name, value in settings["method"].items() if name != "name"}
    if run.method not in _NEEDS_NO_SCORES:
        found["scoring"] = {"dtype": settings["scoring"].get("dtype")}
    if run.method not in _NEEDS_NO_ALTERNATIVES:
        alternatives, generator = settings.get("alternatives") or {}, settings.get("generator") or {}
        found["alternatives"] = {k: v for k, v in alternatives.items() if k not in _ALTERNATIVES_SIZE}
        if alternatives.get("kind") != "retrieved":
            found["generator"] = {k: v for k, v in generator.items() if k not in _GENERATOR_PLACE}
    return flat(found)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``group.name`` -> value."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def differing(of_each: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names whose values aren't the same in all, in the order of the first that has them."""
    names = dict.fromkeys(name for one in of_each for name in one)
    return [name for name in names if any(one.get(name) != of_each[0].get(name) for one in of_each)]


def _weights(run: Run) -> dict[str, Any]:
    model = run.record["model"]
    return {name: model.get(name) for name in ("weights_sha256", "tokenizer_sha256")}


def _agreeing(
    runs: list[Run],
    group_of: Callable[[Run], Hashable],
    facts_of: Callable[[Run], Mapping[str, Any]],
    what: str,
    unused: list[Unused],
    only: Callable[[Run], bool] = lambda _: True,
) -> list[Run]:
    """The runs that share the commonest facts of their group (the first of equally common ones)."""
    groups: dict[Hashable, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        facts = facts_of(run)
        if facts and only(run):
            groups[group_of(run)][fingerprint(facts)].append(run)
    left_out = set()
    for alike in groups.values():
        reference = max(alike.values(), key=len)
        for others in alike.values():
            if others is reference:
                continue
            for run in others:
                left_out.add(id(run))
                unused.append(Unused(run.folder, _difference(what, facts_of(run), facts_of(reference[0]), reference)))
    return [run for run in runs if id(run) not in left_out]


def _difference(what: str, mine: Mapping[str, Any], theirs: Mapping[str, Any], reference: Sequence[Run]) -> str:
    names = differing([mine, theirs])
    shown = [
        "other items" if name == "items" else f"{name} is {_short(mine.get(name))} and not {_short(theirs.get(name))}"
        for name in names[:3]
    ]
    more = f", and {len(names) - 3} more" if len(names) > 3 else ""
    whom = f"as in {len(reference)} other {'run' if len(reference) == 1 else 'runs'}, for instance {reference[0].name}"
    return f"{what}: {', '.join(shown)}{more}, {whom}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _same_as_tuned(runs: list[Run], unused: list[Unused]) -> list[Run]:
    """Runs of the untuned model alone, as far as they were asked what the tuned ones were."""
    reference = next((run for run in runs if run.tuned is not None), None)
    if reference is None:
        return runs
    kept = []
    for run in runs:
        names = [name for name in run.question if run.question[name] != reference.question.get(name)]
        if names:
            unused.append(Unused(run.folder, _difference("another evaluation", run.question, {
                **run.question, **{name: reference.question.get(name) for name in names}}, [reference])))  # fmt: skip
        else:
            kept.append(run)
    return kept


def _same_held_out(runs: list[Run], unused: list[Unused]) -> list[Run]:
    """The same examples by name, and by the untuned model's loss on them."""
    reference: dict[tuple[str, str], Run] = {}
    kept = []
    for run in runs:
        if not run.is_tuned or "nll" not in run.held_out:
            kept.append(run)
            continue
        first = reference.setdefault((run.model, run.dataset), run)
        mine, theirs = run.held_out["nll"][0].value, first.held_out["nll"][0].value
        if run.losses and first.losses and set(run.losses.example_id_N) != set(first.losses.example_id_N):
            unused.append(Unused(run.folder, f"other held-out examples than {first.name}"))
        elif abs(mine - theirs) > MOST_NATS_APART:
            unused.append(
                Unused(run.folder, f"other held-out examples: the untuned model's loss is {number(mine, 4)} there and "
                       f"{number(theirs, 4)} in {first.name}")
            )  # fmt: skip
        else:
            kept.append(run)
    return kept


def _one_a_seed(runs: list[Run], unused: list[Unused]) -> list[Run]:
    seen: dict[Hashable, Run] = {}
    kept = []
    for run in runs:
        key = (run.model, run.dataset, run.method, fingerprint(variant(run)), run.rho, run.budget, run.seed)
        if run.is_tuned and (first := seen.setdefault(key, run)) is not run:
            unused.append(
                Unused(run.folder, f"the same settings and seed as {short_path(first.folder)}; one of them counts")
            )
        else:
            kept.append(run)
    return kept
