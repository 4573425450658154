"""Alternative instructions: generated, retrieved or mixed; and how good they are."""

from tss_lab.alternatives.make import AlternativesRun, make_alternatives
from tss_lab.alternatives.quality import audit
from tss_lab.alternatives.stability import ranking_stability

__all__ = ["AlternativesRun", "audit", "make_alternatives", "ranking_stability"]
