"""Tables by hand: one set of values for people, CSV, JSON, Markdown and LaTeX."""

import csv
import io
import json
import math

import numpy as np
import pytest

from tss_lab.report.paired import ItemComparison
from tss_lab.report.parts import (
    COUNT,
    TEXT,
    Column,
    Form,
    Shown,
    Table,
    decimal,
    difference,
    estimate,
    interval,
    share,
)
from tss_lab.types import Estimate

TABLE = Table(
    "Correct, 50 % & more",
    [
        Column("method", TEXT),
        Column("items", COUNT),
        Column("correct, %", estimate(1, is_accuracy=True), "correct"),
        Column("95 % interval", interval(1), "change"),
    ],
    [
        ["tss_pp", 1234, Estimate(47.5, 8.04, 40), (-2.25, 3.0)],
        ["a|b\n[c]", 40, Estimate(100.0, 0.0, 4), None],
        ["together", None, Estimate(math.nan, math.nan, 0), None],
    ],
    last_is_total=True,
)


def test_cells_for_people():
    assert [[cell.text for cell in row] for row in TABLE.shown] == [
        ["tss_pp", "1,234", "47.5 ± 8.0", "−2.2 to +3.0"],
        ["a|b\n[c]", "40", "100.0 (51.0 to 100.0)", "–"],
        ["together", "–", "–", "–"],
    ]


def test_records_are_plain_and_alike():
    """Missing and not finite are None; a column of two numbers makes two values."""
    assert TABLE.records()[0] == {
        "method": "tss_pp", "items": 1234, "correct": 47.5, "correct_stderr": 8.04,
        "change_low": -2.25, "change_high": 3.0,
    }  # fmt: skip
    assert TABLE.records()[2] == {
        "method": "together", "items": None, "correct": None, "correct_stderr": None,
        "change_low": None, "change_high": None,
    }  # fmt: skip
    numpy_ones = Table("", [Column("n", COUNT), Column("x", decimal(2))], [[np.int64(3), np.float64(0.5)]])
    assert json.dumps(numpy_ones.records()) == '[{"n": 3, "x": 0.5}]'


def test_csv_has_the_same_values():
    text = TABLE.to_csv()
    assert text.splitlines()[0] == "method,items,correct,correct_stderr,change_low,change_high"
    assert text.splitlines()[1] == "tss_pp,1234,47.5,8.04,-2.25,3.0"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[1]["method"] == "a|b\n[c]"
    assert rows[2] == {"method": "together"} | dict.fromkeys(list(rows[2])[1:], "")


def test_markdown_by_hand():
    assert TABLE.to_markdown() == (
        "**Correct, 50 % & more**\n"
        "\n"
        "| method | items | correct, % | 95 % interval |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| tss\\_pp | 1,234 | 47.5 ± 8.0 | −2.2 to +3.0 |\n"
        "| a\\|b \\[c] | 40 | 100.0 (51.0 to 100.0) | – |\n"
        "| together | – | – | – |\n"
    )


def test_latex_by_hand():
    assert TABLE.to_latex() == (
        "\\begin{table}\n"
        "\\centering\n"
        "\\caption{Correct, 50 \\% \\& more}\n"
        "\\begin{tabular}{lrrr}\n"
        "\\toprule\n"
        "method & items & correct, \\% & 95 \\% interval \\\\\n"
        "\\midrule\n"
        "tss\\_pp & 1,234 & 47.5 $\\pm$ 8.0 & $-$2.2 to +3.0 \\\\\n"
        "a\\textbar{}b {[}c] & 40 & 100.0 (51.0 to 100.0) & -- \\\\\n"
        "\\midrule\n"
        "together & -- & -- & -- \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
        "\\end{table}\n"
    )


@pytest.mark.parametrize(
    ("text", "markdown", "latex"),
    [
        (r"50\% {x}", r"50\\% {x}", r"50\textbackslash{}\% \{x\}"),
        ("<b>*bold*</b>", r"\<b>\*bold\*\</b>", r"\textless{}b\textgreater{}*bold*\textless{}/b\textgreater{}"),
        ("ρ\u00a0=\u00a00.5 · τ² #1 $x ~^", "ρ = 0.5 · τ² #1 $x ~^",
         r"$\rho$~=~0.5 $\cdot$ $\tau$$^2$ \#1 \$x \textasciitilde{}\textasciicircum{}"),
        (r"a\|b`c`", r"a\\\|b\`c\`", r"a\textbackslash{}\textbar{}b`c`"),
    ],
)  # fmt: skip
def test_signs_stay_text(text, markdown, latex):
    table = Table("", [Column("x")], [[text]])
    assert table.to_markdown().splitlines()[-1] == f"| {markdown} |"
    assert f"\n{latex} \\\\\n" in table.to_latex()


def test_a_note_stands_behind_its_number_where_nothing_is_small():
    noted = Form(lambda value: Shown(f"{value}", "SD 2"))
    table = Table("", [Column("x", noted)], [[5]])
    assert table.shown == [[Shown("5", "SD 2")]]
    assert "| 5 (SD 2) |" in table.to_markdown()
    assert "5 (SD 2) \\\\" in table.to_latex()
    assert table.records() == [{"x": 5}]


def test_differences_say_that_no_item_changed():
    changed = ItemComparison("a", "A", Estimate(-2.5, 2.5, 40), 0, 1)
    same = ItemComparison("b", "B", Estimate(0.0, 0.0, 40), 0, 0)
    table = Table("", [Column("difference", difference(1))], [[changed], [same]])
    assert [row[0].text for row in table.shown] == ["−2.5 ± 2.5", "no item changed"]
    assert [list(record.values()) for record in table.records()] == [[-2.5, 2.5, 0, 1], [0.0, None, 0, 0]]


def test_shares_and_counts():
    table = Table("", [Column("a", share(1)), Column("b", COUNT)], [[0.125, 10_000.0], [math.nan, math.nan]])
    assert [[cell.text for cell in row] for row in table.shown] == [["12.5 %", "10,000"], ["–", "–"]]


def test_two_columns_of_one_name_and_short_rows_are_refused():
    with pytest.raises(ValueError, match="two columns of the table 'T' are called x; give one another name"):
        Table("T", [Column("x"), Column("X", COUNT)], [["a", 1]]).records()
    with pytest.raises(ValueError, match="zip"):
        Table("T", [Column("x"), Column("y")], [["a"]]).to_csv()
