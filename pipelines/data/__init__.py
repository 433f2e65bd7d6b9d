"""Building the data of `prepare` and `augment`: add a source of pairs here."""
