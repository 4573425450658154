"""Likelihoods: which pairs a method needs, one frozen pass over the missing ones, and the table of them all."""

from tss_lab.scoring.plan import Plan, plan_pairs
from tss_lab.scoring.run import LikelihoodRun, compute_likelihoods
from tss_lab.scoring.table import iter_likelihoods, to_likelihoods, write_table

__all__ = [
    "LikelihoodRun",
    "Plan",
    "compute_likelihoods",
    "iter_likelihoods",
    "plan_pairs",
    "to_likelihoods",
    "write_table",
]
