"""``python -m tss_lab.report runs/A runs/B ...``: runs side by side on one page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tss_lab.console import output, readable_by_head
from tss_lab.errors import TssError

USER_ERROR = 2


def main(arguments: list[str] | None = None) -> int:
    """Compares run folders; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tss_lab.report",
        description="Compares runs: a page, a JSON and a CSV file, and a short table on the terminal.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of runs, such as runs/*")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="where the page goes (default: comparison beside the first run)"
    )
    chosen = parser.parse_args(arguments)
    from tss_lab.report.comparison.compare import compare

    try:
        comparison = compare(chosen.runs)
    except TssError as error:
        sys.stderr.write(f"tss_lab: {error}\n")
        return USER_ERROR
    from tss_lab.report.comparison.page import print_comparison, write_comparison

    folder = chosen.output or chosen.runs[0].absolute().parent / "comparison"
    page = write_comparison(comparison, folder)
    with readable_by_head():
        console = output()
        print_comparison(comparison, console)
        console.print(f"page: {page}", markup=False, highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
