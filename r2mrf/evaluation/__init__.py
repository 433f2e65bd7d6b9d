"""Figures that compare maps with masks, and classical baselines: add one of either here, as a pure function."""
