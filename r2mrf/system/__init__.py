"""Files, processes, hashes and the machine: add what any program might need; nothing here knows about pictures."""
