"""How the network is run fast: add a runtime or a form for export here."""
