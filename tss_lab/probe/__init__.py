"""Does the score measure specificity? Wrong instructions put into real rows, and rows whose specificity is known."""

from tss_lab.probe.run import refuse_probe_early, run_probe

__all__ = ["refuse_probe_early", "run_probe"]
