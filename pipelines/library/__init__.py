"""The library: which photos it contains, and which of them are scored."""
