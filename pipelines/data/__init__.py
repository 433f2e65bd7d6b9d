"""What `prepare` and `augment` build: add a source of pairs here."""
