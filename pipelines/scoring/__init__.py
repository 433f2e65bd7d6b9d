"""Turns photos into rows: reading them, running the network, the job and its estimate."""
