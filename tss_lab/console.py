"""How the program speaks: to people at a terminal, into a log file, and into a pipe."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_WITHOUT_A_TERMINAL = 140
_READER_LEFT = 141
"""What a shell says of a program whose reader left: 128 + SIGPIPE."""
_warned: set[str] = set()


def output() -> Console:
    """Where results are printed: as wide as the terminal, and of one width in a file."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_A_TERMINAL)


def show_log(level: int = logging.INFO) -> None:
    """Few full sentences for people on standard error; everything else goes to the run's log file.

    Without a terminal each record is one line, however long, so that no path is split. Libraries'
    warnings are shown once a process each.
    """
    own = logging.getLogger("tss_lab")
    own.handlers[:] = [_handler()]
    own.setLevel(level)
    own.propagate = False
    warnings.showwarning = _show_once
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # libraries' bars would fill a log file with fragments


def _handler() -> logging.Handler:
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.logging import RichHandler

        return RichHandler(console=Console(stderr=True), show_path=False, log_time_format="%H:%M:%S")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    return handler


def _show_once(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """In place of ``warnings.showwarning``: Python's own "once" is forgotten whenever filters change."""
    sentence = f"{category.__name__}: {message}"
    if sentence not in _warned:
        _warned.add(sentence)
        (file or sys.stderr).write(f"{sentence} ({filename}:{lineno})\n")


@contextlib.contextmanager
def readable_by_head() -> Iterator[None]:
    """A reader that has read enough (``| head``) ends the program, without a word about a broken pipe."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end; what is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_READER_LEFT)


def quiet() -> None:
    """Nothing but errors, and no bars."""
    logging.getLogger("tss_lab").setLevel(logging.ERROR)
    os.environ["TQDM_DISABLE"] = "1"
