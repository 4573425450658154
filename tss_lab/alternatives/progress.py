"""How far a round of requests is, and how long it may still take: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

log = logging.getLogger(__name__)

Clock = Callable[[], float]
_WINDOW = 60.0  # seconds that a rate is taken over: later prompts are longer than the first ones
_SPREAD = 1.5  # rates of two windows rarely differ by more
_SETTLED = 5.0  # seconds of replies without the time before the first one, in which a model is loaded
_BETWEEN_LINES = 60.0


class Pace:
    """When replies came: the rate of the last minute, and what it says of the rest.

    ``settled`` is whether the time before the first reply is out of the rate.
    """

    def __init__(self, total: int, clock: Clock = time.monotonic):
        self.total, self.done, self.settled = total, 0, False
        self._clock = clock
        self.started = clock()
        self._marks: deque[tuple[float, int]] = deque([(self.started, 0)])

    def add(self, count: int) -> None:
        """So many more replies have come."""
        self.done += count
        self._marks.append((self._clock(), self.done))
        while len(self._marks) > 2:
            since_second = self._marks[-1][0] - self._marks[1][0]
            if since_second < (_WINDOW if self.settled else _SETTLED):
                break
            self.settled = True
            self._marks.popleft()

    @property
    def rate(self) -> float | None:
        """Replies a second over the last minute, or since the first request; None before any."""
        (begun, before), (now, done) = self._marks[0], self._marks[-1]
        return (done - before) / (now - begun) if done > before and now > begun else None

    def left(self) -> tuple[float, float] | None:
        """The least and the most seconds that the rest should take; None before any reply."""
        rate, rest = self.rate, self.total - self.done
        return None if rate is None else (rest / rate / _SPREAD, rest / rate * _SPREAD)

    def in_words(self) -> str:
        """Rate and time left."""
        left, rate = self.left(), self.rate
        if left is None or rate is None:
            return "no reply yet"
        return f"{rate:.3g} replies a second, {duration(left[0])} to {duration(left[1])} left"


def duration(seconds: float) -> str:
    """A duration for people, to about two digits."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class Lines:
    """Log lines: the first with the estimate, as soon as there is one, then at each tenth and each minute.

    Where a bar is shown the first line is the only one. A round of a few seconds has none.
    """

    def __init__(self, pace: Pace, only_first: bool, clock: Clock = time.monotonic):
        self._pace, self._only_first, self._clock = pace, only_first, clock
        self._last: float | None = None
        self._tenth = 0

    def after_replies(self) -> None:
        """Says where the round is, if it is time to."""
        pace, now = self._pace, self._clock()
        tenth = 10 * pace.done // pace.total
        if self._last is None:
            due = pace.settled or now - pace.started >= _BETWEEN_LINES
        else:
            waited = now - self._last
            due = waited >= _BETWEEN_LINES or (tenth > self._tenth and waited >= _SETTLED)
            due = due and not self._only_first
        if not due or pace.done == pace.total:
            return
        self._last, self._tenth = now, tenth
        log.info("%d of %d replies: %s", pace.done, pace.total, pace.in_words())


@contextmanager
def shown(total: int, clock: Clock = time.monotonic, console: Console | None = None) -> Iterator[Callable[[int], None]]:
    """Gives what is to be called with the number of replies whenever some of ``total`` have come."""
    console = console or Console(stderr=True)
    pace = Pace(total, clock)
    lines = Lines(pace, only_first=console.is_terminal, clock=clock)
    columns = (
        TextColumn("replies"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}"),
    )  # fmt: skip
    with Progress(
        *columns, console=console, transient=True, disable=not (console.is_terminal and log.isEnabledFor(logging.INFO))
    ) as bar:
        task = bar.add_task("", total=total, pace=pace.in_words())

        def came(count: int) -> None:
            pace.add(count)
            bar.update(task, advance=count, pace=pace.in_words())
            lines.after_replies()

        yield came
