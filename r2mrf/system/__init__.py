"""Files, processes, hashes and the machine: add what every program needs of them here; never a picture."""
