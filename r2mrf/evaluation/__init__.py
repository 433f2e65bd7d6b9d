"""Figures of maps against masks, and the baselines beside the network; a figure is a pure function of counts."""
