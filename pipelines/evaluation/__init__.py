"""Comparisons on held-out pairs: methods, ablation rows, saved maps."""
