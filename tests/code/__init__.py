"""Tests of what needs no data set, no training and no cluster."""
