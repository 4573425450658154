"""Likelihoods: which pairs a method needs, one frozen pass over the missing ones, and the table of them all."""

from tss_lab.scoring.plan import Plan, plan_pairs
from tss_lab.scoring.run import LikelihoodRun, compute_likelihoods

__all__ = [
    "LikelihoodRun",
    "Plan",
    "compute_likelihoods",
    "plan_pairs",
]
