"""The paper's network, its loss and its files: add a backbone or a switch of the architecture here."""
