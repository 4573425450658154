"""The table on the terminal."""

import io

from made_up_run import config, evaluation, full_run
from rich.console import Console

from tests.made_up import write_folder
from tss_lab.report.parts import COUNT, Column, Form, Shown, Table
from tss_lab.report.terminal import print_run, to_rich
from tss_lab.runs import read_run


def printed(show):
    console = Console(width=160, record=True, file=io.StringIO())
    show(console)
    return console.export_text()


def test_main_numbers_are_there(tmp_path):
    run = full_run(tmp_path / "runs", "[bold]text[/bold]")
    text = printed(lambda console: print_run(run, console))
    lines = {line[:60].strip(): line[60:].strip() for line in text.splitlines()[1:]}
    assert lines == {
        "model, dataset": "gemma3_270m, starter [bold]text[/bold]",  # data is no markup
        "method, ρ, seed": "tss_pp_exp, 0.333, 0",
        "alternatives": "72 (24 generated, 48 retrieved)",
        "Replies in the asked form": "90 %",
        "Filled up from retrieval": "2 alternatives",
        "Alternatives that give the output away": "0.5 %",
        "Paraphrases of the true instruction": "0.0 %",
        "Mean similarity within an example": "0.30",
        "Rankings by two halves of the alternatives agree (Spearman)": "0.92",
        "pairs scored": "96, 6 from the store",
        "self-check": "4.0e-05 nats at most from a plain pass",
        "kept": "8 of 24 examples",
        "more among the kept": "category [bold]text[/bold] +37.5 points [+5.0, +65.0]",
        "shared with the longest outputs": "4 of 8 rows; by chance 3 (1 to 5)",
        "set aside": "1 row, listed in set_aside.jsonl",
        "weighted loss, first and last batch": "3.000 and 1.000 (30 steps)",
        "[bold]text[/bold]": "2.000 ± 0.100 before, 1.500 ± 0.100 after tuning",
        "ARC-Challenge-style demonstration items (10)":
            "zero-shot 30.0 ± 15.3, tuned 60.0 ± 16.3, difference +30.0 ± 30.0 (%)",
        "MMLU-style demonstration items (10)":
            "zero-shot 50.0 ± 16.7, tuned 30.0 ± 15.3, difference −20.0 ± 20.0 (%)",
        "HellaSwag-style demonstration items (10)":
            "zero-shot 30.0 ± 15.3, tuned 40.0 ± 16.3, difference +10.0 ± 23.3 (%)",
        "TruthfulQA-MC1-style demonstration items (10)":
            "zero-shot 30.0 ± 15.3, tuned 10.0 ± 10.0, difference −20.0 ± 20.0 (%)",
        "Sum over demonstration items of 4 kinds (40)":
            "zero-shot 140.0 ± 31.3, tuned 140.0 ± 29.4, difference +0.0 ± 47.4 (%)",
    }  # fmt: skip


def test_a_tuning_that_changed_no_item_has_no_interval(tmp_path):
    run = full_run(tmp_path / "runs", "plain", tuned=evaluation(1))
    text = printed(lambda console: print_run(run, console))
    assert text.count("no item changed") == 5
    assert "+0.0" not in text


def test_a_part_of_a_run(tmp_path):
    run = read_run(write_folder(config(tmp_path / "runs", "plain", "tss")))
    text = printed(lambda console: print_run(run, console))
    assert "tss, 0.333, 0" in text
    assert "kept" not in text


def test_a_method_that_keeps_everything_has_no_share(tmp_path):
    run = read_run(write_folder(config(tmp_path / "runs", "plain", "full")))
    text = printed(lambda console: print_run(run, console))
    assert "ρ" not in text
    assert "method, seed" in text
    assert "full, 0" in text


def test_any_table_goes_to_the_terminal():
    noted = Form(lambda value: Shown(f"{value}", "SD 2"))
    table = Table("T", [Column("name"), Column("items", COUNT), Column("x", noted)], [["[b]a[/b]", 1234, 5],
                  ["sum", None, 6]], last_is_total=True)  # fmt: skip
    lines = printed(lambda console: console.print(to_rich(table))).splitlines()
    assert [line.split() for line in lines] == [
        ["name", "items", "x"], ["[b]a[/b]", "1,234", "5", "(SD", "2)"], ["sum", "–", "6", "(SD", "2)"],
    ]  # fmt: skip
    assert lines[0].startswith("name ")
    assert lines[1].endswith("5 (SD 2)")
