"""Weighted fine-tuning: the same gradient whatever the packing, accumulation or number of devices."""
