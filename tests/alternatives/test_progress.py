"""What is said while alternatives are written, on a clock of the test's own."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from tests.alternatives.conftest import FakeGenerator, alternatives_config, example, generator_config
from tss_lab.alternatives import make_alternatives
from tss_lab.alternatives.progress import Pace, duration, shown
from tss_lab.store import Store


class Clock:
    """Stands still unless it is told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("tss_lab"), "propagate", True)  # the command line turns it off
    caplog.set_level(logging.INFO, "tss_lab")
    return caplog


def test_the_rate_is_of_the_last_minute_and_without_the_time_before_the_first_reply() -> None:
    clock = Clock()
    pace = Pace(1000, clock)
    assert pace.left() is None
    assert pace.in_words() == "no reply yet"
    clock.now += 100  # loading, and the first ten replies
    pace.add(10)
    assert pace.rate == pytest.approx(0.1)
    clock.now += 10
    pace.add(20)
    assert pace.rate == pytest.approx(2)
    assert pace.left() == pytest.approx((970 / 2 / 1.5, 970 / 2 * 1.5))
    assert pace.in_words() == "2 replies a second, 5 min to 12 min left"
    for _ in range(10):
        clock.now += 10
        pace.add(5)
    assert pace.rate == pytest.approx(0.5)


def run(clock: Clock, batches: int, seconds: float, terminal: bool = False) -> str:
    """Batches of ten replies, one each so many seconds; what was drawn."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120)
    with shown(10 * batches, clock, console) as came:
        for _ in range(batches):
            clock.now += seconds
            came(10)
    return file.getvalue()


def test_without_a_terminal_there_is_a_line_at_each_tenth(said: pytest.LogCaptureFixture) -> None:
    assert run(Clock(), batches=100, seconds=3) == ""
    # The first at 9 s, when six seconds have passed since the first reply; none at the end.
    assert [record.getMessage().split(" of ")[0] for record in said.records] == [
        "30", "100", "200", "300", "400", "500", "600", "700", "800", "900",
    ]  # fmt: skip
    assert said.records[1].getMessage() == "100 of 1000 replies: 3.33 replies a second, 3 min to 7 min left"


def test_and_each_minute_where_a_tenth_takes_longer(said: pytest.LogCaptureFixture) -> None:
    run(Clock(), batches=200, seconds=30)
    assert len(said.records) == 99
    run(Clock(), batches=5, seconds=300)
    assert [record.getMessage().split(" of ")[0] for record in said.records[99:]] == ["10", "20", "30", "40"]


def test_a_moments_work_is_not_commented(said: pytest.LogCaptureFixture) -> None:
    run(Clock(), batches=10, seconds=0.3)
    assert not said.records


def test_a_terminal_has_one_line_with_the_estimate_and_a_bar(said: pytest.LogCaptureFixture) -> None:
    drawn = run(Clock(), batches=100, seconds=3, terminal=True)
    assert [record.getMessage() for record in said.records] == [
        "30 of 1000 replies: 3.33 replies a second, 3 min to 7 min left"
    ]
    assert "replies" in drawn
    assert "1000/1000" in drawn


def test_durations() -> None:
    assert [duration(seconds) for seconds in (3.2, 89, 90, 3000, 5400, 36_000)] == [
        "3 s", "89 s", "2 min", "50 min", "1.5 h", "10.0 h",
    ]  # fmt: skip


@pytest.mark.usefixtures("bag_of_words")
def test_each_round_is_announced(said: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    examples = [example(number) for number in range(6)]
    FakeGenerator.bad_share = 0.5
    make_alternatives(examples, examples, alternatives_config(), generator_config(), Store(tmp_path), tmp_path)
    lines = [record.getMessage() for record in said.records if "alternatives yet" in record.getMessage()]
    assert lines[0] == "6 of 6 examples have no 4 alternatives yet; asking, 24 requests for 6 of them"
    assert len(lines) > 1
    assert all("; asking again, " in line for line in lines[1:])
