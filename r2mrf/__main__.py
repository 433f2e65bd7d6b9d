"""Runs the console command `r2mrf`: `python -m r2mrf map photo.jpg`."""

import sys
from importlib.metadata import entry_points

(command,) = entry_points(group="console_scripts", name="r2mrf")  # found by name: r2mrf imports no pipelines
sys.exit(command.load()())
