"""Helpers that several tests share, one subject per file; no tests."""
