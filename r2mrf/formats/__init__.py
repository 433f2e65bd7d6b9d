"""Bytes of image files: which formats are read, and whether a file is whole; add a format here."""
