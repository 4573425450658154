"""The table on the terminal."""

from dataclasses import replace

from made_up_run import full_report
from rich.console import Console
from tss_lab.report.summary import print_summary

from tss_lab.report.model import RunReport


def printed(report):
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    print_summary(report, console)
    return console.export_text()


def test_main_numbers_are_there():
    text = printed(full_report("[bold]text[/bold]"))
    assert "8 of 24 examples" in text
    assert "72 (24 generated, 48 retrieved)" in text
    assert "[bold]text[/bold]" in text  # data is no markup
    assert "Sum over demonstration items" in text
    assert "of 4 kinds" in text  # the sum says over what it is
    assert "weighted loss, first and last batch" in text
    assert "3.000 and 1.000 (30 steps)" in text


def test_a_tuning_that_changed_no_item_has_no_interval():
    whole = full_report("plain")
    text = printed(replace(whole, tuned=whole.zero_shot))
    assert text.count("no item changed") == 5
    assert "+0.0" not in text


def test_a_part_of_a_run():
    text = printed(RunReport("r", "e", "m", "d", "tss", 0.5, 0))
    assert "tss, 0.5, 0" in text
    assert "kept" not in text
