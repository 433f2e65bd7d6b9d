"""Tests of data sets, rendering and shards."""
