"""Helpers that several tests share, one noun a file; no test lies here."""
