"""The short table at the end of a run, on the terminal."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tss_lab.report import view
from tss_lab.report.model import RunReport
from tss_lab.report.numbers import NOTHING_CHANGED, plus_minus


def summary_table(report: RunReport) -> Table:
    """The run's main numbers, two columns."""
    table = Table(title=Text(report.run_name), title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in _rows(report):
        table.add_row(Text(name), Text(value))
    return table


def print_summary(report: RunReport, console: Console | None = None) -> None:
    """Prints the table to ``console``, or to standard output."""
    (console or Console()).print(summary_table(report))


def _rows(report: RunReport) -> list[view.Row]:
    rows = [
        ("model, dataset", f"{report.model_name}, {report.dataset_name}"),
        ("method, ρ, seed", f"{report.method_name}, {report.rho:g}, {report.seed}"),
    ]
    if report.alternatives:
        sources = Counter(one.source for one in report.alternatives)
        shown = ", ".join(f"{count:,} {source}" for source, count in sorted(sources.items()))
        rows.append(("alternatives", f"{len(report.alternatives):,} ({shown})"))
        rows += list(report.generation.items())
    if report.scoring is not None and report.scoring.num_pairs is not None:
        facts = report.scoring
        stored = f", {facts.num_from_store:,} from the store" if facts.num_from_store else ""
        rows.append(("pairs scored", f"{facts.num_pairs:,}{stored}"))
        if facts.self_check_difference is not None:
            rows.append(("self-check", f"{facts.self_check_difference:.1e} nats at most from a plain pass"))
    if report.selection is not None:
        rows.append(("kept", f"{report.selection.num_kept:,} of {len(report.selection.example_id_N):,} examples"))
    if report.set_aside:
        rows.append(("set aside", f"{len(report.set_aside):,} rows, listed in run.json"))
    if report.training is not None and len(report.training.loss_S):
        loss_S = report.training.loss_S
        rows.append(
            ("weighted loss, first and last batch", f"{loss_S[0]:.3f} and {loss_S[-1]:.3f} ({len(loss_S):,} steps)")
        )
    rows += [
        (measure.title, f"{plus_minus(measure.before, 3)} before, {plus_minus(measure.after, 3)} after tuning")
        for measure in report.held_out
    ]
    evaluation = view.evaluation_table(report)
    if evaluation is not None:
        for name, before, after, difference, *_ in evaluation.rows:
            parts = {"zero-shot": before, "tuned": after, "difference": difference}
            shown = ", ".join(f"{what} {value}" for what, value in parts.items() if value not in ("–", NOTHING_CHANGED))
            rows.append((name, f"{shown} (%){f', {NOTHING_CHANGED}' if difference == NOTHING_CHANGED else ''}"))
    return rows
