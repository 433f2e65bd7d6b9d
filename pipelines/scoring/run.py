"""Scores a library in this process: turns listed photos into rows, shard by shard, and writes a summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path

from tqdm import tqdm

from pipelines.cluster.progress import progress
from pipelines.cluster.ray_cluster import in_a_job
from pipelines.library.ledger import Ledger
from pipelines.library.listing import MOST, Listing
from pipelines.library.out_folder import OutFolder
from pipelines.library.photo import to_text
from pipelines.library.walk import Library, NoPhotos
from pipelines.scoring import summary
from pipelines.scoring.chunks import Chunk, chunks_of
from pipelines.scoring.crew import Crew
from pipelines.scoring.job import ScoringJob, with_engine
from pipelines.scoring.scorer import ScoredPhoto
from pipelines.scoring.shard_writer import ShardWriter
from r2mrf.config import Score
from r2mrf.errors import UserError
from r2mrf.prediction.record import thresholds_of
from r2mrf.system.lock import exclusive

OVERLAP = 120.0  # seconds to wait for an earlier attempt of the same job to end
OnChunk = Callable[[int], object]  # called with the number of photos in each finished chunk


def score(sources: list[str], out: Path, model: str, options: Score, report: OnChunk) -> dict:
    """Do the work of `supervised_run.score_library` in this process."""
    if (name := to_text(str(out))) != str(out):
        raise UserError(f"{name}: this name is not UTF-8, so no table can be written there: choose another --out")
    library = _found(sources, options)
    job = ScoringJob.of(model, options, library.addresses)
    OutFolder.check(out, options.maps)
    held = UserError(f"{out}: another run is writing here: wait for it to end, or choose another --out")
    # attempts of a cluster job may overlap: the next one begins before the last one has ended
    with exclusive(out / ".lock", held, OVERLAP if in_a_job() else 0), ExitStack() as stack:
        folder = OutFolder.claim(out, options.maps)
        job = with_engine(job, out)
        ledger = Ledger(out, job.fingerprint, thresholds_of(options))
        if said := summary.why_anew(out, job, ledger):
            print(said, file=sys.stderr)
        crew = cache(lambda: Crew(job, stack))
        rate = _work(library, ledger, options, folder, crew, report)
        written = summary.write(out, ledger, job, library.selection.left_out, rate)
        if options.watch:
            _say_watching(out, written)
        while options.watch:
            pause(options.watch)
            library, drops = _found(sources, options), ledger.drops
            again = options.model_copy(update={"retry": False})
            if _work(library, ledger, again, folder, crew, report) or ledger.drops > drops:
                written = summary.write(out, ledger, job, library.selection.left_out, None)
                _say_watching(out, written)
        return written


def _say_watching(out: Path, written: dict) -> None:
    print(f"{out}: {written['ok']} of {written['total']} photos scored; watching, Ctrl-C ends", file=sys.stderr)


def pause(seconds: float) -> None:
    """Wait before the library is listed again."""
    time.sleep(seconds)


def _found(sources: list[str], options: Score) -> Library:
    """Return the library; with --watch, wait until each of its sources contains a photo."""
    while True:
        try:
            return Library(sources, options)
        except NoPhotos:
            if not options.watch:
                raise
            pause(options.watch)


def _work(
    library: Library, ledger: Ledger, options: Score, folder: OutFolder, crew: Callable[[], Crew], on_chunk: OnChunk
) -> float | None:
    """Finish shards that were begun, then score new photos; return photos per second, or None if nothing was to do.

    Args:
        crew: returns the crew that works on them; the first call starts it.
    """
    done = ledger.repair()
    listed = done + ledger.size(ledger.waiting())
    listing, began = Listing(library, ledger, options), time.perf_counter()
    writer = ShardWriter(library, ledger, folder)
    bar: tqdm | None = None
    with ExitStack() as stack:

        def deliver(chunk: Chunk, photos: list[ScoredPhoto]) -> None:
            assert bar is not None  # there are chunks only after it was begun
            bar.total = listed + listing.new  # size of the library, as far as it is known by now
            writer.add(chunk, photos)
            bar.set_postfix(failed=writer.failed, refresh=False)
            bar.update(len(photos))
            on_chunk(len(photos))

        for numbers in stack.enter_context(closing(_waves(ledger, listing))):
            if not bar:
                bar = stack.enter_context(progress(total=done, initial=done, unit=" photos", desc="score"))
            crew().work(chunks_of(writer.begin(numbers), options.batch), deliver)
            if writer.unfinished:
                raise UserError("some photos never came back: run the same command again to resume")
    return (bar.n - done) / (time.perf_counter() - began) if bar else None


def _waves(ledger: Ledger, listing: Listing) -> Generator[list[int], None, None]:
    """Yield shards to work on: first those that were begun; then the library is listed."""
    waiting = ledger.waiting()
    for start in range(0, len(waiting), MOST):
        yield waiting[start : start + MOST]
    yield from listing.waves()
