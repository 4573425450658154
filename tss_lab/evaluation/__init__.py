"""Evaluation: benchmarks through lm-evaluation-harness, and held-out measures.

The modules are imported where they are needed: ``harness`` and ``tree_lm`` bring lm_eval and torch with
them, ``benchmarks``, ``results`` and ``heldout`` are light.
"""
