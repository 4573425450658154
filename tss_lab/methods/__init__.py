"""Selection methods: likelihoods to scores, scores to a training set. Pure numpy."""

from tss_lab.methods.base import Method, build_method
from tss_lab.methods.selection import select, training_weights
from tss_lab.methods.weighting import WeightStatistics, weight_statistics

__all__ = ["Method", "WeightStatistics", "build_method", "select", "training_weights", "weight_statistics"]
