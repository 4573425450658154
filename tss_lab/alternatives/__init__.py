"""Alternative instructions: generated, retrieved or mixed; and how good they are."""

from tss_lab.alternatives.make import AlternativesRun, make_alternatives
from tss_lab.alternatives.quality import audit

__all__ = ["AlternativesRun", "audit", "make_alternatives"]
