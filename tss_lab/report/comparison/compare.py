"""Run folders to one comparison: what is compared, what was set aside, and what follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tss_lab.errors import ArtifactError
from tss_lab.report.comparison.align import Unused, align, prompt_kinds
from tss_lab.report.comparison.questions import Null, Versus, against_random, null_test, paper_tables
from tss_lab.report.comparison.rows import Pair, Row, losses_of, make_pairs
from tss_lab.runs import Run, names, read_run

COMPARISON = "comparison.json"
_NO_TABLES = "Nothing was evaluated on benchmarks, so the paper's tables, sums of accuracies, can't be formed."


@dataclass(frozen=True)
class Answers:
    """What follows for a model on a data set."""

    pair: Pair
    against: Sequence[Versus]
    """Its rows against random."""
    null: Null | None
    tables: Mapping[str, Sequence[Versus]]
    """``Table 2`` to ``Table 5`` -> the best there, as far as the runs go."""
    missing: Sequence[str]


@dataclass(frozen=True)
class Comparison:
    """Everything that the page, the files and the terminal show."""

    runs: Sequence[Run]
    unused: Sequence[Unused]
    answers: Sequence[Answers]
    label: str
    """What was evaluated; empty where nothing was."""
    titles: Mapping[str, str]
    """Benchmark, and ``sum`` -> what it is called."""

    @property
    def pairs(self) -> list[Pair]:
        return [one.pair for one in self.answers]

    @property
    def rows(self) -> list[tuple[Row, Versus | None]]:
        """Every row of every pair, with its difference to random."""
        beside = {id(versus.row): versus for one in self.answers for versus in one.against}
        return [(row, beside.get(id(row))) for pair in self.pairs for row in pair.rows]

    @property
    def missing(self) -> list[str]:
        """What can't be shown of the paper's tables, in sentences."""
        return [sentence for one in self.answers for sentence in one.missing] if self.titles else [_NO_TABLES]


def compare(folders: Iterable[Path]) -> Comparison:
    """Reads the folders and compares what can be compared.

    Raises ArtifactError where that is nothing.
    """
    read, unused = read_runs(folders)
    runs, apart = align(read)
    unused += apart
    if not runs:
        reasons = "; ".join(f"{one.place} {one.reason}" for one in unused[:3])
        more = f"; and {len(unused) - 3} more" if len(unused) > 3 else ""
        raise ArtifactError(
            f"none of the {len(unused)} folders can be compared ({reasons}{more}); give folders of finished runs"
        )
    label, titles, answers = "", {}, []
    evaluated = next((found.result for run in runs if (found := run.tuned or run.zero_shot) is not None), None)
    if evaluated is not None:
        label, titles = evaluated.label, {score.name: score.display_name for score in evaluated.benchmarks}
        titles["sum"] = evaluated.total_name
    for pair in make_pairs(runs):
        against = against_random(pair)
        tables, missing = paper_tables(pair, against)
        answers.append(Answers(pair, against, null_test(pair), tables, missing))
    return Comparison(runs, unused, answers, label, titles)


def read_runs(folders: Iterable[Path]) -> tuple[list[Run], list[Unused]]:
    """Every folder as a run or as set aside, in the order given; one that is named twice counts once."""
    runs: list[Run] = []
    unused: list[Unused] = []
    for folder in dict.fromkeys(Path(folder).expanduser().absolute() for folder in folders):
        if (folder / COMPARISON).exists() and not (folder / names.RECORD).exists():
            continue  # what this command wrote itself
        try:
            run = read_run(folder)
            check_usable(run)
        except ArtifactError as error:
            sentence = str(error).removeprefix(f"{folder} ").removeprefix(f"{folder}: ")
            unused.append(Unused(folder, sentence.replace(f"{folder}/", "")))
        else:
            runs.append(run)
    return runs, unused


def check_usable(run: Run) -> None:
    """Raises ArtifactError where a run has nothing to compare, or where its files contradict each other."""
    loss, results = run.measure("nll"), [run.tuned, run.zero_shot]
    if not run.is_finished:
        reason = f"is not finished ({run.record.get('status', 'unknown')}); run its command again"
    elif not any(results) and not run.held_out:
        stages = ", ".join(run.config.stages)
        reason = f"holds no evaluation (stages: {stages}); run it again with evaluation among its stages"
    elif loss is not None and loss.after is not None and losses_of(run) is None:
        reason = f"has lost its held-out examples ({names.HELD_OUT}); run its evaluation again"
    elif not run.facts("model"):
        reason = f"doesn't say in {names.RECORD} which model's weights it used; run its command again"
    else:
        prompt_kinds(run)  # reads what a later step must not fail at
        return
    raise ArtifactError(f"{run.folder} {reason}")
