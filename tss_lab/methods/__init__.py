"""Selection methods and choosers: evidence to scores, scores to a training set. Pure numpy."""

from tss_lab.methods.base import Budget, Chooser, Evidence, Method, Needs
from tss_lab.methods.build import build_chooser, build_method
from tss_lab.methods.selection import score_examples, select, training_weights
from tss_lab.methods.stability import ranking_stability
from tss_lab.methods.weighting import WeightStatistics, weight_statistics

__all__ = [
    "Budget",
    "Chooser",
    "Evidence",
    "Method",
    "Needs",
    "WeightStatistics",
    "build_chooser",
    "build_method",
    "ranking_stability",
    "score_examples",
    "select",
    "training_weights",
    "weight_statistics",
]
