"""Figures of maps against masks, and classical baselines: add a figure or a baseline here; each is a pure function."""
