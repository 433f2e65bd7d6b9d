"""The paper's network, its loss and its files: add a backbone or an architecture option here."""
