"""Turns rows into a page, tables, sidecars and folders of links."""
