"""How to read the page: its words and signs, explained at its end."""

from __future__ import annotations

from tss_lab.report.numbers import place
from tss_lab.report.parts import Facts, Section
from tss_lab.runs import Run

ORDER = 100

READING: tuple[tuple[str, str], ...] = (
    (
        "Specificity",
        "How much better an example's own instruction explains its output than plausible other instructions for "
        "the same input do. High: only this instruction could have asked for the output. Near zero: the instruction "
        "hardly matters.",
    ),
    (
        "Log-likelihood",
        "Natural logarithm of the probability that the frozen model gives the whole output after a prompt, in nats. "
        "Nearer to zero is more likely; a difference of 1 nat is a factor of 2.7.",
    ),
    (
        "Place",
        f"{place(0)} is the best by the run's method: rank 0 in scores.parquet, where ranks count from 0. Equal scores "
        "are ordered by a seeded draw.",
    ),
    (
        "± and intervals",
        "± is one standard error. Intervals cover 95 %; one that spans zero leaves open whether anything changed.",
    ),
    (
        "Paired",
        "Both models answered the same items, so the difference is computed item by item; it is surer than the two "
        "accuracies' own errors suggest. It doesn't cover what another training seed would give.",
    ),
    (
        "No item changed",
        "Where both models have the very same items right there is no spread to take an interval from. It doesn't mean "
        "a difference of exactly zero: so few items just don't show one.",
    ),
    (
        "All right or all wrong",
        "An accuracy of 0 or 100 % has no spread either; in place of ± stands its 95 % interval after Wilson. The "
        "sum's ± takes such a benchmark as exact and is therefore a little too small.",
    ),
    (
        "Effective sample size",
        "(Σw)²/Σw²: so many equally weighted examples would be as uneven. Far below the number of examples, few of "
        "them decide the training.",
    ),
    (
        "Demonstration items",
        "Short items in the form of a benchmark that come with the package. They show that every step works; a "
        "number on them says nothing about the benchmark.",
    ),
)


def reading(run: Run) -> Section:
    return Section("reading", "How to read this", "Words and signs on this page.", [Facts(READING)])
