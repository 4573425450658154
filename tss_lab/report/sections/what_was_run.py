"""The choices of a run, what became of its data, and how its likelihoods were computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tss_lab.config import RunConfig
from tss_lab.report.numbers import DASH, number, percent
from tss_lab.report.parts import COUNT, Column, Facts, Heading, Part, Section, Table
from tss_lab.report.sections.alternatives import serve_the_choice
from tss_lab.runs import Run

ORDER = 10

_LETTERS = {"tau": "τ", "alpha": "α"}


def what_was_run(run: Run) -> Section:
    parts: list[Part] = [Facts(_choices(run))]
    for title, facts, table in (("Data", _data(run), set_aside_table(run)), ("Likelihoods", _likelihoods(run), None)):
        parts += [Heading(title), facts] if facts is not None else []
        parts += [table] if table is not None else []
    lead = "The choices of this run, what became of the data, and how the likelihoods were computed."
    return Section("run", "What was run", lead, parts)


def _choices(run: Run) -> list[tuple[str, str]]:
    config = run.config
    rows = [
        ("Dataset", _with_path(config.dataset.name, config.dataset.path)),
        ("Scored and tuned model", _with_path(config.model.name, config.model.path)),
    ]
    if serve_the_choice(run):
        rows.append(("Alternatives", _alternatives(config)))
    rows.append(("Method", config.method.name + _in_brackets(_method_settings(config))))
    if config.method.uses_rho:
        rows.append(("Kept share ρ", f"{config.rho:g} of the {config.budget.kind}"))
        rows.append(("Chooser", config.choose.name + _in_brackets(_settings(config.choose.params))))
    return [*rows, ("Seed", str(config.seed)), ("Model licence", config.model.licence)]


def _with_path(name: str, path: str | None) -> str:
    return f"{name} ({path})" if path and path != name else name


def _alternatives(config: RunConfig) -> str:
    kind = config.alternatives.kind
    writer = f", by {config.generator.name}" if kind != "retrieved" else ""
    return f"{kind}, K = {config.alternatives.k}{writer}"


def _method_settings(config: RunConfig) -> list[str]:
    """The method's own settings, and how its weights are made where it weighs."""
    shown, weighting = _settings(config.method.params), config.method.weighting
    if weighting.enabled:
        low, high = weighting.clip
        shown += [
            f"λ = {weighting.lambda_}",
            f"weights clipped to {low} … {high}",
            f"standardised: {weighting.standardize}",
            f"scope: {config.method.scope}",
        ]
    return shown


def _settings(params: Mapping[str, Any]) -> list[str]:
    return [f"{_LETTERS.get(name, name)} = {value}" for name, value in params.items()]


def _in_brackets(shown: list[str]) -> str:
    return f" ({', '.join(shown)})" if shown else ""


def _data(run: Run) -> Facts | None:
    """Counts of the data, in the order in which rows are left."""
    facts = run.facts("dataset")
    counts = {"rows read": facts["rows_read"]} if "rows_read" in facts else {}
    for done in ("filtered", "set_aside"):
        words = "left out" if done == "filtered" else "set aside"
        counts |= {f"{words}, {reason}": count for reason, count in facts.get(done, {}).items()}
    if run.examples:
        counts |= {"examples to choose from": len(run.examples), "held out": len(run.held_out_examples)}
    return Facts.known([(name, f"{count:,}") for name, count in counts.items()])


def set_aside_table(run: Run) -> Table | None:
    """Rows that no step used, by reason."""
    if not run.set_aside:
        return None
    counts = Counter(one.reason for one in run.set_aside)
    rows = []
    for reason, count in counts.most_common():
        first = next(one for one in run.set_aside if one.reason == reason)
        rows.append([reason, count, first.where + (f": {first.detail}" if first.detail else "")])
    return Table(
        "Rows set aside by any step, by reason; set_aside.jsonl lists each",
        [Column("reason"), Column("rows", COUNT), Column("for instance")], rows,
    )  # fmt: skip


def _likelihoods(run: Run) -> Facts | None:
    """Counts and checks of the likelihood pass."""
    facts = run.facts("likelihoods")
    pairs, cut, flops = (facts.get(name) for name in ("pairs", "pairs_truncated", "flops"))
    merged, apart = facts.get("merge_rate"), facts.get("self_check_max_difference")
    checked = run.config.scoring.self_check_pairs
    of_token, allowed = (facts.get(f"self_check_{name}_per_token") for name in ("max_difference", "tolerance"))
    limit = f" ({of_token:.1e} a token, {allowed:g} allowed)" if of_token is not None and allowed is not None else ""
    return Facts.known([
        ("Pairs of prompt and output", number(pairs)),
        ("of these from the store", number(facts.get("pairs_resumed"))),
        ("Pairs cut to the length limit", number(cut) + (f" ({percent(cut / pairs, 1)})" if cut and pairs else "")),
        ("Output tokens scored", number(facts.get("target_tokens"))),
        ("Tokens computed", number(facts.get("tree_tokens"))),
        ("Teraflop", number(flops / 1e12 if flops is not None else None, 2)),
        ("Prompt and output would merge a token", f"{percent(merged, 1)} of examples" if merged is not None else DASH),
        ("Engine", str(facts.get("engine") or DASH)),
        ("Rank correlation with float32, on a sample", number(facts.get("float32_rank_correlation"), 3)),
        ("Self-check",
         f"{checked} pairs computed twice, at most {apart:.1e} nats apart{limit}" if apart is not None else DASH),
    ])  # fmt: skip
