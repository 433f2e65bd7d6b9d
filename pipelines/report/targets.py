"""Checks where `r2mrf report` is asked to write: neither photos nor the table that it reads may be overwritten."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.library.out_folder import is_of_a_run
from pipelines.library.photo import to_text
from pipelines.report.scored_folder import Scored
from r2mrf.errors import UserError


def check(scored: Scored, target: Path) -> None:
    """Raise UserError if a file or folder to be written is one of the photos, or belongs to the scored folder."""
    real = Path(os.path.realpath(target))
    names = {to_text(os.path.abspath(target)), to_text(str(real))}  # noqa: PTH100
    if any(row.path in names for row in scored.rows):
        raise UserError(f"{target} is one of the photos and would be overwritten: choose another name")
    if is_of_a_run(real, Path(os.path.realpath(scored.folder))):
        raise UserError(
            f"{target} belongs to what `r2mrf score` wrote, and reading it again would fail: choose another name"
        )
