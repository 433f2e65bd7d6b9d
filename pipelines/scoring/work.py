"""Scores a library: turns listed photos into rows, shard by shard, and writes a summary."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from pipelines.cluster.progress import progress
from pipelines.cluster.ray_cluster import LOGICAL_CPUS, connect
from pipelines.library.ledger import Ledger
from pipelines.library.listing import MOST, Listing
from pipelines.library.out_folder import OutFolder
from pipelines.library.photo import to_text
from pipelines.library.walk import Library
from pipelines.project.tables import write_json
from pipelines.scoring import ray_data
from pipelines.scoring.job import Job, with_engine
from pipelines.scoring.scorer import ScoredPhoto
from r2mrf.config import Score
from r2mrf.errors import UserError
from r2mrf.prediction.record import thresholds_of
from r2mrf.system.lock import exclusive
from r2mrf.system.machine import cores

LOST = {"unreadable", "unreachable", "not_a_file"}  # reasons of photos that may have vanished with their source
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
        thresholds = thresholds_of(options)
        ledger = Ledger(out, job.fingerprint, thresholds)
        rate = _work(library, ledger, job, folder, report)
        summary = ledger.counts() | {
            "images_per_second": rate or _last_rate(out / "summary.json", job.fingerprint),
            "left_out": dict(sorted(library.selection.left_out.items())),
            "model": job.model,
            "model_sha256": job.sha256,
            "fingerprint": job.fingerprint,
            "engine": job.engine,
            "precision": job.precision,
            **asdict(thresholds),
        }
        write_json(out / "summary.json", summary)
        return summary


def _work(library: Library, ledger: Ledger, job: Job, folder: OutFolder, on_chunk: OnChunk) -> float | None:
    """Finish shards that were begun, then score new photos; return photos per second, or None if nothing was to do."""
    done = ledger.mend()
    listed = done + ledger.size(ledger.waiting())
    listing, began, bar = Listing(library, ledger, job.options), time.perf_counter(), None
    failed = 0
    with ExitStack() as stack:
        for numbers in stack.enter_context(closing(_waves(ledger, listing))):
            if not bar:
                job = _prepared_and_connected(job, stack)
                bar = stack.enter_context(progress(total=done, initial=done, unit=" photos", desc="score"))
            shards = {number: ledger.photos(number) for number in numbers}
            bar.total = listed + listing.new  # size of the library, as far as it is known by now
            for number, photos in _finished(shards, ray_data.run(shards, job), bar, on_chunk):
                bar.total = listed + listing.new
                _keep(number, photos, ledger, library, folder)
                failed += sum(photo.row.status == "failed" for photo in photos)
                bar.set_postfix(failed=failed, refresh=False)
    return (bar.n - done) / (time.perf_counter() - began) if bar else None


def _prepared_and_connected(job: Job, stack: ExitStack) -> Job:
    """Prepare the job while connecting to Ray: both take seconds, and connecting is mostly waiting."""
    with ThreadPoolExecutor(1) as pool:
        prepared = pool.submit(job.prepared)
        stack.enter_context(connect(logical_cpus=LOGICAL_CPUS + 2 * cores()))
        return prepared.result()


def _waves(ledger: Ledger, listing: Listing) -> Generator[list[int], None, None]:
    """Yield shards to work on: first those that were begun; then the library is listed."""
    waiting = ledger.waiting()
    for start in range(0, len(waiting), MOST):
        yield waiting[start : start + MOST]
    yield from listing.waves()


def _finished(
    shards: dict, chunks: Iterator[tuple[int, int, list[ScoredPhoto]]], bar: tqdm, on_chunk: OnChunk
) -> Iterator[tuple[int, list[ScoredPhoto]]]:
    """Gather chunks by shard; yield a shard's rows, in the order of its photos, when its last chunk has arrived."""
    gathered: dict[int, dict[int, list[ScoredPhoto]]] = {number: {} for number in shards}
    for number, place, photos in chunks:
        gathered[number][place] = photos
        bar.update(len(photos))
        on_chunk(len(photos))
        if sum(map(len, gathered[number].values())) == len(shards[number]):
            parts = gathered.pop(number)
            yield number, [photo for place in sorted(parts) for photo in parts[place]]
    if gathered:
        raise UserError("some photos never came back from Ray: run the same command again to resume")


def _keep(number: int, photos: list[ScoredPhoto], ledger: Ledger, library: Library, folder: OutFolder) -> None:
    """Write the maps first, then the shard: a shard counts as done only when all of it is there."""
    rows = [photo.row for photo in photos]
    lost = {row.path for row in rows if row.reason in LOST}
    if lost:  # single photos may be gone, but if their whole source is, that is not their failure
        library.check(lost, (row.path for row in rows if row.path not in lost))
    for photo in photos:
        if photo.png and photo.row.map:
            with folder.writing("maps", photo.row.map) as temporary:
                temporary.write_bytes(photo.png)
    ledger.commit(number, rows)


def _last_rate(path: Path, key: str) -> float | None:
    """Return the rate of the previous run, for a run without new photos: it must not change summary.json."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return summary.get("images_per_second") if summary.get("fingerprint") == key else None
