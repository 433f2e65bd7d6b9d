"""Scores a library in a child process, which Ray may end. This module imports little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.cluster.supervised import supervised
from r2mrf.config import Score

if TYPE_CHECKING:  # imported by the child
    from pipelines.scoring import run as run

WORK = "pipelines.scoring.run:score"  # the function that the child calls


def score_library(
    sources: list[str], out: Path, model: str, options: Score, on_chunk: Callable[[int], object] = lambda photos: None
) -> dict:
    """Score all photos that are not scored yet; write the summary and return it.

    Args:
        on_chunk: called with the number of photos in each finished chunk.

    Raises:
        UserError: there is no model or no photo, `out` cannot be written, a source has vanished, or Ray has ended.
    """
    return supervised(WORK, sources, out, model, options, report=on_chunk)


def failures(out: Path, fingerprint: str) -> Iterator[str]:
    """Yield a sentence for each photo that failed."""
    from pipelines.library.ledger import Ledger

    return (f"{path}: {error}" for path, error in Ledger(out, fingerprint).failed())
