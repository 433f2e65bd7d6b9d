"""Ends an example that needs packages which are not installed."""

from __future__ import annotations

import sys

from pipelines.command.failures import COULD_NOT_RUN
from r2mrf.system import missing


def demand(program: str, *modules: str) -> None:
    """End the program with status 2, and one sentence on stderr, if any of these modules is missing."""
    if absent := [module for module in modules if missing.is_missing(module)]:
        print(missing.sentence(f"`{program}`", *absent), file=sys.stderr)
        sys.exit(COULD_NOT_RUN)
