"""The short table at the end of a run, and any table of a page, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from tss_lab.report import parts
from tss_lab.report.numbers import DASH, NOTHING_CHANGED
from tss_lab.report.sections.alternatives import quality_facts, sources_table
from tss_lab.report.sections.audit import summary as audit_rows
from tss_lab.report.sections.doctor import count_statuses
from tss_lab.report.sections.evaluation import evaluation_table
from tss_lab.report.sections.held_out import held_out_table
from tss_lab.report.sections.probe import summary_rows as probe_rows
from tss_lab.runs import Run, names
from tss_lab.runs.findings import Finding

_STATUS_STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red", "skipped": "dim"}


def print_end(run: Run, page: Path | None, check: str | None, console: Console) -> None:
    """What a command ends with: the run's numbers, or ``check`` where only data were read; and where it all lies."""
    if check is None:
        print_run(run, console)
    else:
        console.print(check, markup=False, highlight=False)
    where = f"page: {page}" if page else f"results: {run.folder}"
    console.print(where, markup=False, highlight=False, soft_wrap=True)


def print_run(run: Run, console: Console) -> None:
    """The run's main numbers, two columns."""
    table = RichTable(title=Text(run.name), title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in [*_until_selection(run), *_after_selection(run)]:
        table.add_row(Text(name), Text(value))
    console.print(table)


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """What the doctor found: a line a check, and after a trouble what to do."""
    table = RichTable(show_header=False, box=None, pad_edge=False)
    for style in ("", "dim", ""):
        table.add_column(style=style, overflow="fold")
    for one in findings:
        said = f"{one.text}; {one.remedy}" if one.remedy else one.text
        table.add_row(Text(one.status, style=_STATUS_STYLES[one.status]), Text(one.title), Text(said))
    console.print(table)
    console.print(count_statuses(findings), markup=False, highlight=False)


def to_rich(table: parts.Table) -> RichTable:
    """A page's table for a terminal, without its caption; words to the left, numbers to the right."""
    found = RichTable(box=None, pad_edge=False)
    for column in table.columns:
        found.add_column(Text(column.title), justify="left" if column.form.is_text else "right", overflow="fold")
    for index, row in enumerate(table.shown, start=1):
        is_total = table.last_is_total and index == len(table.rows)
        found.add_row(*(Text(cell.in_one_line) for cell in row), style="bold" if is_total else "")
    return found


def _until_selection(run: Run) -> list[tuple[str, str]]:
    config, facts, selection = run.config, run.facts("likelihoods"), run.selection
    share = {"ρ": f"{config.rho:g}"} if config.method.uses_rho else {}
    chosen = {"method": config.method.name, **share, "seed": str(config.seed)}
    rows = [("model, dataset", f"{config.model.name}, {config.dataset.name}")]
    rows.append((", ".join(chosen), ", ".join(chosen.values())))
    sources = sources_table(run)
    if sources is not None:
        shown = ", ".join(f"{count.text} {source.text}" for source, count, *_ in sources.shown)
        rows += [("alternatives", f"{sum(row[1] for row in sources.rows):,} ({shown})"), *quality_facts(run)]
    if "pairs" in facts:
        stored = f", {facts['pairs_resumed']:,} from the store" if facts.get("pairs_resumed") else ""
        rows.append(("pairs scored", f"{facts['pairs']:,}{stored}"))
    apart = facts.get("self_check_max_difference")
    if apart is not None:
        rows.append(("self-check", f"{apart:.1e} nats at most from a plain pass"))
    if selection is not None:
        rows.append(("kept", f"{selection.num_kept:,} of {len(selection.example_id_N):,} examples"))
    rows += [*probe_rows(run), *audit_rows(run)]
    if run.set_aside:
        count = f"{len(run.set_aside):,} {'row' if len(run.set_aside) == 1 else 'rows'}"
        rows.append(("set aside", f"{count}, listed in {names.SET_ASIDE}"))
    return rows


def _after_selection(run: Run) -> list[tuple[str, str]]:
    """Training; then the rows of the page's tables, in words."""
    rows = []
    if run.training is not None and len(run.training.loss_S):
        loss_S = run.training.loss_S
        shown = f"{loss_S[0]:.3f} and {loss_S[-1]:.3f} ({len(loss_S):,} steps)"
        rows.append(("weighted loss, first and last batch", shown))
    held_out, evaluation = held_out_table(run), evaluation_table(run)
    if held_out is not None:
        for (measure, *_), (_, before, after, *_) in zip(held_out.rows, held_out.shown, strict=True):
            rows.append((measure.title, f"{before.text} before, {after.text} after tuning"))
    for title, *cells in evaluation.shown if evaluation is not None else []:
        found = dict(zip(("zero-shot", "tuned", "difference"), (cell.text for cell in cells), strict=False))
        shown = ", ".join(f"{what} {text}" for what, text in found.items() if text not in (DASH, NOTHING_CHANGED))
        unchanged = f", {NOTHING_CHANGED}" if found["difference"] == NOTHING_CHANGED else ""
        rows.append((title.text, f"{shown} (%){unchanged}"))
    return rows
