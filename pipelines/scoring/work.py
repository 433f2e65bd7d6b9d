"""Scores a library: turns listed photos into rows, shard by shard, and writes a summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from pathlib import Path

from pipelines.cluster.progress import progress
from pipelines.library.ledger import Ledger
from pipelines.library.listing import MOST, Listing
from pipelines.library.out_folder import OutFolder
from pipelines.library.photo import to_text
from pipelines.library.walk import Library
from pipelines.scoring import summary
from pipelines.scoring.chunks import Chunk, cut
from pipelines.scoring.crew import Crew
from pipelines.scoring.job import Job, with_engine
from pipelines.scoring.scorer import ScoredPhoto
from pipelines.scoring.shard_writer import ShardWriter
from r2mrf.config import Score
from r2mrf.errors import UserError
from r2mrf.prediction.record import thresholds_of
from r2mrf.system.lock import exclusive

OnChunk = Callable[[int], object]  # called with the number of photos in each finished chunk


def score(sources: list[str], out: Path, model: str, options: Score, report: OnChunk) -> dict:
    """Do the work of `run.score_library` in this process."""
    if (name := to_text(str(out))) != str(out):
        raise UserError(f"{name}: this name is not UTF-8, so no table can be written there: choose another --out")
    library = Library(sources, options)
    job = Job.of(model, options, library.addresses)
    OutFolder.check(out, options.maps)
    held = UserError(f"{out}: another run is writing here: wait for it to end, or choose another --out")
    with exclusive(out / ".lock", held):
        folder = OutFolder.claim(out, options.maps)
        job = with_engine(job, out)
        ledger = Ledger(out, job.fingerprint, thresholds_of(options))
        if said := summary.why_anew(out, job, ledger):
            print(said, file=sys.stderr)
        rate = _work(library, ledger, job, folder, report)
        return summary.write(out, ledger, job, library.selection.left_out, rate)


def _work(library: Library, ledger: Ledger, job: Job, folder: OutFolder, on_chunk: OnChunk) -> float | None:
    """Finish shards that were begun, then score new photos; return photos per second, or None if nothing was to do."""
    done = ledger.mend()
    listed = done + ledger.size(ledger.waiting())
    listing, began, writer = (
        Listing(library, ledger, job.options),
        time.perf_counter(),
        ShardWriter(library, ledger, folder),
    )
    crew: Crew | None = None
    with ExitStack() as stack:

        def take(chunk: Chunk, photos: list[ScoredPhoto]) -> None:
            bar.total = listed + listing.new  # size of the library, as far as it is known by now
            bar.set_postfix(failed=writer.failed, refresh=False)
            bar.update(len(photos))
            writer.take(chunk, photos)
            on_chunk(len(photos))

        for numbers in stack.enter_context(closing(_waves(ledger, listing))):
            if not crew:
                crew = Crew(job, stack)
                bar = stack.enter_context(progress(total=done, initial=done, unit=" photos", desc="score"))
            crew.work(cut(writer.begin(numbers), job.options.batch), take)
            if writer.unfinished:
                raise UserError("some photos never came back: run the same command again to resume")
    return (bar.n - done) / (time.perf_counter() - began) if crew else None


def _waves(ledger: Ledger, listing: Listing) -> Generator[list[int], None, None]:
    """Yield shards to work on: first those that were begun; then the library is listed."""
    waiting = ledger.waiting()
    for start in range(0, len(waiting), MOST):
        yield waiting[start : start + MOST]
    yield from listing.waves()
