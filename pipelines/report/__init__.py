"""From rows to a page, a CSV file and sidecars."""
