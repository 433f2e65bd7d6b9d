"""Keeps the commands from writing over the pictures that they read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def refuse_overwriting(inputs: Iterable[Path], targets: Iterable[Path]) -> None:
    """Raise UserError if one of the targets is one of the inputs, under whatever name."""
    from r2mrf.errors import UserError

    read = {os.path.realpath(file) for file in inputs}
    for target in targets:
        if os.path.realpath(target) in read:
            raise UserError(f"{target} is one of the pictures to read and would be overwritten: choose another name")
