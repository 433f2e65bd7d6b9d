"""Files, processes, hashes, parameter layers of this machine; never a picture."""
