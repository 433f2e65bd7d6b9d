"""`r2mrf score --dry-run`: how many photos there are to score, and how long that may take."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

from pipelines.cluster import cores
from pipelines.job import Job, recorded
from pipelines.ledger import Ledger
from pipelines.library import Library
from pipelines.looker import Looker
from pipelines.photo import Photo
from pipelines.reader import read
from r2mrf.config import Score

TRIED = 16  # photos, spread over the library


def estimate(sources: list[str], out: Path, model: str, options: Score) -> str:
    """A sentence. A few photos are scored as one core would do it; nothing is written.

    Raises:
        UserError: no model or no photos.
    """
    library = Library(sources)
    job = recorded(Job.of(model, options, library.addresses), out)
    job = replace(job, engine="torch") if job.engine == "auto" else job
    known = Ledger(out, job.fingerprint, options).known()
    photos, total, new = library.photos(), 0, []
    while some := list(islice(photos, 4096)):
        total += len(some)
        new += [photo for photo, _, same in known.find(some) if not same]
    counted = f"{total:,} photos, {len(new):,} of them to be scored"
    if not new:
        return counted
    rate = cores() / _seconds(new[:: -(-len(new) // TRIED)], job)
    left = timedelta(seconds=round(len(new) / rate))
    return f"{counted}: about {left} at {rate:.3g} photos/s, by a trial with the engine {job.engine} on {cores()} cores"


def _seconds(photos: list[Photo], job: Job) -> float:
    """Of one core, for one photo."""
    look = Looker(job.prepared(), threads=1)
    look(read(photos[:1], job))  # the first is slower, and not timed
    began = time.perf_counter()
    look(read(photos, job))
    return (time.perf_counter() - began) / len(photos)
