"""What every stage does and leaves: its command line, its folders, tables, plots and pages."""
