"""The alternatives under scrutiny: where they come from, what is wrong with them, and how they compare to the truth."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from tss_lab.report.charts import Drawing, Ink, figure, histogram
from tss_lab.report.numbers import number, percent
from tss_lab.report.parts import COUNT, Column, Facts, Section, Table, decimal, section
from tss_lab.runs import Run
from tss_lab.types import Alternative

ORDER = 40

_NOT_A_LETTER = re.compile(r"[\W_]+")


def alternatives(run: Run) -> Section | None:
    mine = alternatives_to_choose_by(run)
    title = "The true instruction against its hardest alternative"
    return section(
        "alternatives", "Alternative instructions", "The score is only as good as the instructions it is held against.",
        [
            _sources(mine) if mine else None,
            Facts([*_checks(run, mine), *quality_facts(run)]) if mine else None,
            figure("alternatives_margin", title, lambda width: _margin(run)),
        ],
    )  # fmt: skip


def alternatives_to_choose_by(run: Run) -> list[Alternative]:
    """Those of the examples to choose from, without the held-out ones'."""
    names = {example.example_id for example in run.examples}
    return [one for one in run.alternatives if one.example_id in names]


def quality_facts(run: Run) -> list[tuple[str, str]]:
    """What the generator did and how good its instructions are, as the run's audit has it."""
    facts = run.facts("alternatives")
    counts, audit = facts.get("counts", {}), facts.get("audit", {})
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
    if halves is not None:
        words.append(("Rankings by two halves of the alternatives agree (Spearman)", number(halves, 2)))
    return words


def _sources(alternatives: list[Alternative]) -> Table:
    """Where the alternatives come from."""
    rows = []
    for source in sorted({one.source for one in alternatives}):
        mine = [one for one in alternatives if one.source == source]
        words = np.array([len(one.instruction.split()) for one in mine])
        similar = [one.similarity for one in mine if one.similarity is not None]
        examples = len({one.example_id for one in mine})
        middle, highest = (float(np.median(similar)), max(similar)) if similar else (None, None)
        rows.append([source, len(mine), examples, float(words.mean()), int(words.max()), middle, highest])
    columns = [
        Column("source"),
        Column("alternatives", COUNT),
        Column("examples", COUNT),
        Column("mean words", decimal(1)),
        Column("most words", COUNT),
        Column("median similarity", decimal(2)),
        Column("highest similarity", decimal(2)),
    ]
    return Table("Alternatives by source", columns, rows, is_wide=True)


def _checks(run: Run, alternatives: list[Alternative]) -> list[tuple[str, str]]:
    """What should be nearly nothing: copies of the true instruction, repeated and overlong ones."""
    true = {example.example_id: _folded(example.instruction) for example in run.examples}
    folded = [(one.example_id, _folded(one.instruction)) for one in alternatives]
    copies = sum(text == true[example_id] for example_id, text in folded)
    across = Counter(text for _, text in folded)
    commonest, times = across.most_common(1)[0]
    each = Counter(one.example_id for one in alternatives)
    spread = Counter(each[example_id] for example_id in true)
    return [
        ("Alternatives an example has", ", ".join(f"{k} ({n:,} examples)" for k, n in sorted(spread.items())[::-1])),
        ("Copies of the example's own instruction", f"{copies:,}"),
        ("Repeated within an example", f"{len(folded) - len(set(folded)):,}"),
        ("Distinct instructions among all alternatives", percent(len(across) / len(alternatives))),
        ("The most frequent one", f"“{commonest}”, {times:,} times"),
    ]


def _folded(text: str) -> str:
    return _NOT_A_LETTER.sub(" ", text.casefold()).strip()


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
