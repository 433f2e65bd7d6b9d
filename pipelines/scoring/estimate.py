"""`r2mrf score --dry-run`: how many photos there are to score, and how long that may take."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from itertools import islice
from pathlib import Path

from pipelines.library.ledger import Ledger
from pipelines.library.listing import AT_A_TIME
from pipelines.library.photo import Photo
from pipelines.library.walk import Library
from pipelines.scoring import summary
from pipelines.scoring.job import Job, with_recorded_engine, without_trial
from pipelines.scoring.reader import read
from pipelines.scoring.scorer import Scorer
from r2mrf.config import Score
from r2mrf.system.machine import cores

TRIED = 16  # photos at most


def estimate(sources: list[str], out: Path, model: str, options: Score) -> str:
    """A sentence. A few photos are scored as one core would do it; nothing is written.

    Raises:
        UserError: no model or no photos.
    """
    library = Library(sources, options)
    job = without_trial(with_recorded_engine(Job.of(model, options, library.addresses), out))
    ledger = Ledger(out, job.fingerprint)
    if said := summary.why_anew(out, job, ledger):
        print(said, file=sys.stderr)
    total, new, tried = _counted(library, ledger, options.retry)
    counted = f"{total:,} photos, {new:,} of them to be scored"
    if not new:
        return counted
    rate = cores() / _seconds(tried, job)
    left = timedelta(seconds=round(new / rate))
    trial = f"by a trial with the engine {job.engine} on {cores()} cores"
    return f"{counted}: about {left} after the start, at {rate:.3g} photos/s, {trial}"


def _counted(library: Library, ledger: Ledger, retry: bool) -> tuple[int, int, list[Photo]]:
    """Photos, those of them that are to be scored, and some of these, evenly spread, however many there are."""
    known, photos = ledger.known(), library.photos()
    failed = {path for path, _ in ledger.failed()} if retry else set()
    waiting = set(ledger.waiting())  # shards that a stopped run has begun
    total, new, every = 0, 0, 1
    spread: list[Photo] = []
    while some := list(islice(photos, AT_A_TIME)):
        total += len(some)
        for photo, shard, same in known.find(some):
            if same and shard not in waiting and photo.path not in failed:
                continue
            if new % every == 0:
                spread.append(photo)
            new += 1
            if len(spread) > TRIED:
                spread, every = spread[::2], 2 * every
    return total, new, spread


def _seconds(photos: list[Photo], job: Job) -> float:
    """Seconds that one core takes for one photo."""
    look = Scorer(job.prepared(), threads=1)
    look(read(photos[:1], job))  # the first is slower, and not timed
    began = time.perf_counter()
    look(read(photos, job))
    return (time.perf_counter() - began) / len(photos)
