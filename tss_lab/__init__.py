"""tss_lab: how much do instructions matter? Scores, selects, tunes, evaluates and reports."""

__version__ = "0.1.0"
