"""Which photos there are, and which of them are scored."""
