"""Tests that need no data set, no training and no cluster."""
