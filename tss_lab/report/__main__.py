"""``python -m tss_lab.report runs/A``: a run's page again; with several folders: runs side by side on one page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tss_lab.console import output, readable_by_head
from tss_lab.errors import TssError

USER_ERROR = 2


def main(arguments: list[str] | None = None) -> int:
    """Makes a run's page, or compares several; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tss_lab.report",
        description="One run: its page, made again. Several: a page that compares them, its tables as CSV, Markdown "
        "and LaTeX, and a short table on the terminal.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of runs, such as runs/*")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="where a comparison goes (default: beside the first run)"
    )
    chosen = parser.parse_args(arguments)
    from tss_lab.report.comparison.compare import compare
    from tss_lab.report.comparison.write import print_comparison, write_comparison
    from tss_lab.report.page import write_page
    from tss_lab.runs import read_run

    with readable_by_head():
        console = output()
        try:
            if len(chosen.runs) == 1 and chosen.output is None:
                page = write_page(read_run(chosen.runs[0]))
            else:
                comparison = compare(chosen.runs)
                page = write_comparison(comparison, chosen.output or chosen.runs[0].absolute().parent / "comparison")
                print_comparison(comparison, console)
        except TssError as error:
            sys.stderr.write(f"tss_lab: {error}\n")
            return USER_ERROR
        console.print(f"page: {page}", markup=False, highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
