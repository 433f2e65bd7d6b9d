"""Comparisons on held-out pairs: methods, rows of the ablation, saved maps."""
