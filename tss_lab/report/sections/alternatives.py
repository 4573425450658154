"""The alternatives under scrutiny: where they come from, what is wrong with them, and how they compare to the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tss_lab.report.charts import Drawing, Ink, figure, histogram
from tss_lab.report.numbers import number, percent
from tss_lab.report.parts import COUNT, Column, Facts, Section, Table, decimal, section
from tss_lab.runs import Run

ORDER = 40


def alternatives(run: Run) -> Section | None:
    title = "The true instruction against its hardest alternative"
    return section(
        "alternatives", "Alternative instructions", "The score is only as good as the instructions it is held against.",
        [
            sources_table(run),
            Facts.known([*_checks(run), *quality_facts(run)]),
            figure("alternatives_margin", title, lambda width: _margin(run)),
        ],
    )  # fmt: skip


def sources_table(run: Run) -> Table | None:
    """Where the alternatives come from, as the run's audit counts them."""
    by_source = _said(run, "audit").get("by_source")
    if not by_source:
        return None
    columns = [
        Column("source"),
        Column("alternatives", COUNT),
        Column("examples", COUNT),
        Column("mean words", decimal(1)),
        Column("most words", COUNT),
        Column("median similarity", decimal(2)),
        Column("highest similarity", decimal(2)),
    ]
    rows = [[source, *(figures.get(column.key) for column in columns[1:])] for source, figures in by_source.items()]
    also = ", with those of held-out examples" if run.held_out_examples else ""
    return Table(f"Alternatives by source{also}", columns, rows, is_wide=True)


def quality_facts(run: Run) -> list[tuple[str, str]]:
    """What the generator did and how good its instructions are."""
    counts, audit = _said(run, "counts"), _said(run, "audit")
    words = []
    if "parse_rate" in counts:
        words.append(("Replies in the asked form", percent(counts["parse_rate"])))
    if counts.get("filled_from_retrieval"):
        words.append(("Filled up from retrieval", f"{counts['filled_from_retrieval']:,} alternatives"))
    if "leak_share" in audit:
        words.append(("Alternatives that give the output away", percent(audit["leak_share"], 1)))
    if "paraphrase_share" in audit:
        words.append(("Paraphrases of the true instruction", percent(audit["paraphrase_share"], 1)))
        words.append(("Mean similarity within an example", number(audit["pair_similarity"], 2)))
    halves = run.facts("ranking_stability").get("halves")
    if audit and halves is not None:
        words.append(("Rankings by two halves of the alternatives agree (Spearman)", number(halves, 2)))
    return words


def serve_the_choice(run: Run) -> bool:
    """Whether examples to choose from have alternatives; those of held-out ones alone serve the sensitivity."""
    examples = {example.example_id for example in run.examples}
    return any(one.example_id in examples for one in run.alternatives)


def _said(run: Run, what: str) -> Mapping[str, Any]:
    """What the run says of its alternatives; nothing where no score was held against them."""
    said: Mapping[str, Any] = run.facts("alternatives").get(what, {}) if serve_the_choice(run) else {}
    return said


def _checks(run: Run) -> list[tuple[str, str]]:
    """What should be nearly nothing: copies of the true instruction, and repeated ones."""
    audit = _said(run, "audit")
    if "examples_with" not in audit:
        return []
    spread = sorted(((int(k), count) for k, count in audit["examples_with"].items()), reverse=True)
    return [
        ("Alternatives an example has", ", ".join(f"{k} ({count:,} examples)" for k, count in spread)),
        ("Copies of the example's own instruction", number(audit["own_instruction_copies"])),
        ("Repeated within an example", number(audit["repeated_within_example"])),
        ("Distinct instructions among all alternatives", percent(audit["distinct_share"])),
        ("The most frequent one", f"“{audit['most_frequent']}”, {audit['most_frequent_times']:,} times"),
    ]


def _margin(run: Run) -> Drawing | None:
    """How much better the true instruction explains the output than its best alternative."""
    likelihoods = run.likelihoods
    if likelihoods is None or likelihoods.alternative_loglik_NK.shape[1] == 0:
        return None
    margin_N = likelihoods.true_mean_loglik_N - likelihoods.alternative_mean_loglik_NK.max(axis=1)
    margin_M = margin_N[np.isfinite(margin_N)]
    if len(margin_M) < 2:
        return None
    reach = float(np.quantile(np.abs(margin_M), 0.99)) or 1.0
    edges = np.linspace(-reach, reach, 2 * min(16, max(5, int(np.sqrt(len(margin_M))))) + 1)
    drawn_M = np.clip(margin_M, -reach, reach)
    sides = {"alternative fits better": drawn_M[drawn_M < 0], "true instruction fits better": drawn_M[drawn_M >= 0]}
    colours = dict(zip(sides, (Ink.REST, Ink.ACCENT), strict=True))
    chart = histogram(sides, colours, edges, "nats a token, true − hardest alternative", 170)
    beaten = float((margin_M < 0).mean())
    caption = (
        f"For {100 * beaten:.0f} % of {len(margin_M):,} examples an alternative explains the output better than the "
        "example's own instruction. The outermost bars hold what lies beyond."
    )
    return Drawing(chart, caption, f"Histogram of margins. {caption}")
