"""The table on the terminal."""

from made_up_run import full_report
from rich.console import Console

from tss_lab.report.model import RunReport
from tss_lab.report.summary import print_summary


def printed(report):
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    print_summary(report, console)
    return console.export_text()


def test_main_numbers_are_there():
    text = printed(full_report("[bold]text[/bold]"))
    assert "8 of 24 examples" in text
    assert "[bold]text[/bold]" in text  # data is no markup
    assert "Sum over demonstration items" in text
    assert "3.000 to 1.000 in 30 steps" in text


def test_a_part_of_a_run():
    text = printed(RunReport("r", "e", "m", "d", "tss", 0.5, 0))
    assert "tss, 0.5, 0" in text
    assert "kept" not in text
