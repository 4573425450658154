"""Does the score measure specificity? Wrong instructions put into real rows, and rows whose specificity is known."""

from tss_lab.probe.run import run_probe

__all__ = ["run_probe"]
