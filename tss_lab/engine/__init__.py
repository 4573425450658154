"""Packs of token sequences as prefix trees, and the exact forward pass over them."""
