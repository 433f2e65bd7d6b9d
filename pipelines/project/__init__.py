"""Holds what all stages share: their command line, folders, tables, plots and pages."""
