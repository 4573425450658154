"""Tracking: Weights & Biases, TensorBoard or CSV through Lightning's loggers, and what is logged when.

``loggers`` brings Lightning with it and is imported where a run needs it.
"""
