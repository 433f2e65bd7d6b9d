"""Reading and writing bytes at a path or an address: add a kind of store here."""
