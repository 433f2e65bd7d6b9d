"""Tests of stages as jobs of a cluster whose machines are killed."""
