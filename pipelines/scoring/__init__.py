"""From photos to rows: reading, running the network, the job and its estimate."""
