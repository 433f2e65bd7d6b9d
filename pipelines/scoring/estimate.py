"""`r2mrf score --dry-run`: counts the photos to score, and estimates how long that will take."""

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
from pipelines.scoring.job import ScoringJob, with_recorded_engine, without_trial
from pipelines.scoring.reader import read
from pipelines.scoring.scorer import Scorer
from r2mrf.config import Score
from r2mrf.system.machine import cores

TRIED = 16  # most photos that are scored for the estimate


def estimate(sources: list[str], out: Path, model: str, options: Score) -> str:
    """Return a sentence with the count and the estimate. A few photos are scored on one core; nothing is written.

    Raises:
        UserError: there is no such model, or there are no photos.
    """
    library = Library(sources, options)
    job = without_trial(with_recorded_engine(ScoringJob.of(model, options, library.addresses), out))
    ledger = Ledger(out, job.fingerprint)
    if said := summary.why_anew(out, job, ledger):
        print(said, file=sys.stderr)
    total, new, missing, tried = _counted(library, ledger, options.retry)
    counted = f"{total:,} photos, {new:,} of them to be scored"
    if missing:
        counted += f" (not there: {missing:,})"
    if not tried:
        return counted
    rate = cores() / _seconds(tried, job)
    left = timedelta(seconds=round(new / rate))
    trial = f"from a trial with the engine {job.engine} on {cores()} cores"
    return f"{counted}: about {left} after the start, at {rate:.3g} photos/s, {trial}"


def _counted(library: Library, ledger: Ledger, retry: bool) -> tuple[int, int, int, list[Photo]]:
    """Return the number of photos, of those to score, of those of them that are not there, and a few of the others,
    evenly spread over all.
    """
    known, photos = ledger.known(), library.photos()
    failed = {path for path, _ in ledger.failed()} if retry else set()
    waiting = set(ledger.waiting())  # shards that a stopped run began
    total, new, missing, every = 0, 0, 0, 1
    spread: list[Photo] = []
    while some := list(islice(photos, AT_A_TIME)):
        total += len(some)
        for photo, shard, same in known.find(some):
            if same and shard not in waiting and photo.path not in failed:
                continue
            new += 1
            if photo.mtime is None and not photo.name.address:  # see `local_photo`
                missing += 1
                continue
            if (new - missing - 1) % every == 0:
                spread.append(photo)
            if len(spread) > TRIED:
                spread, every = spread[::2], 2 * every
    return total, new, missing, spread


def _seconds(photos: list[Photo], job: ScoringJob) -> float:
    """Return the seconds that one core takes for one photo."""
    scorer = Scorer(job.prepared(), threads=1)
    scorer(read(photos[:1], job))  # not timed: the first photo is slower
    began = time.perf_counter()
    scorer(read(photos, job))
    return (time.perf_counter() - began) / len(photos)
