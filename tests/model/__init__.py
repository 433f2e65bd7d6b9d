"""Tests of the network, its training and its engines."""
