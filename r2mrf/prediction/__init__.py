"""Turns a photo into its map, confidence and record."""
