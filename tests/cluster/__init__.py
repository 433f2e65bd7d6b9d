"""Tests of stages as jobs of a cluster while its machines are killed."""
