"""Estimates of a pass, by a clock that the test turns."""

from __future__ import annotations

import pytest
import torch

from tss_lab.scoring.pace import Pace, expected_seconds, in_words, range_in_words


def told(work: list[float], seconds: list[float]) -> list[str]:
    """What is said of packs that cost so much and take so long."""
    now = [0.0]
    pace = Pace(work, lambda: now[0])
    said = []
    for taken in seconds:
        now[0] += taken
        if sentence := pace.pack_done():
            said.append(sentence)
    return said


def test_the_rest_is_estimated_by_what_the_work_took():
    """The first pack warms up (100 s for what takes 30 later) and doesn't count; each mark is told once."""
    assert told([10.0] * 10, [100.0] + [30.0] * 9) == [
        "10% of the pass are done after 2 minutes; about 15 minutes to go",
        "30% of the pass are done after 3 minutes; about 4 minutes to go",
        "50% of the pass are done after 4 minutes; about 2 minutes to go",
        "80% of the pass are done after 5 minutes; about 60 seconds to go",
    ]


def test_work_counts_and_not_the_number_of_packs():
    said = told([10.0, 10.0, 980.0], [10.0, 10.0, 980.0])
    assert said == ["2% of the pass are done after 20 seconds; about 16 minutes to go"]


def test_a_short_rest_is_not_worth_a_line():
    assert told([1.0] * 100, [0.1] * 100) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 second"), (40, "40 seconds"), (89, "89 seconds"), (95, "2 minutes"), (3600, "60 minutes"),
     (7200, "2 hours"), (400_000, "5 days")],
)  # fmt: skip
def test_durations_in_words(seconds, words):
    assert in_words(seconds) == words


def test_ranges_in_words():
    assert range_in_words(130, 470) == "2 to 8 minutes"
    assert range_in_words(5, 20) == "5 to 20 seconds"
    assert range_in_words(300, 9000) == "up to 2 hours"


def test_before_a_pass_there_is_a_range():
    shortest, longest = expected_seconds(1e12, torch.device("cpu"), torch.float32, 1)
    assert longest == pytest.approx(4 * shortest)
    assert expected_seconds(1e15, torch.device("cpu"), torch.float32, 1)[1] > longest
