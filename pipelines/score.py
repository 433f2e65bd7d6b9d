"""Stage score, and `r2mrf score`: a library of photos -> a table, one row a photo, with Ray Data.

    python -m pipelines.score          # score.source of params.yaml -> library/
    r2mrf score FOLDER --out DIR

A shard of the table is written to a temporary name and renamed: it is done when it exists. Its name carries
the fingerprint of the model and of every option that changes a number, so other rows never mix with these.
Photos that stand in a finished shard are not scored again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from pipelines.cluster import connect, cores
from pipelines.library import SCORES, photos, samples
from pipelines.stage import MODEL, run, write_json
from pipelines.storage import here
from r2mrf import images, scoring
from r2mrf.checkpoint import Checkpoint, load, locate
from r2mrf.config import Config, Score
from r2mrf.errors import UserError
from r2mrf.files import whole
from r2mrf.fingerprint import fingerprint
from r2mrf.precision import resolve
from r2mrf.predictor import Analysis, Predictor
from r2mrf.preprocess import Preprocess, to_uint8

LIBRARY = Path("library")  # where the stage leaves its table


def score(config: Config) -> None:
    sources = samples() if config.score.source == "samples" else [config.score.source]
    summary = score_library([str(source) for source in sources], LIBRARY, str(here(MODEL)), config.score, maps=True)
    print(f"{LIBRARY}: {summary['ok']} photos scored, {summary['failed']} failed")


def score_library(sources: list[str], out: Path, model: str, options: Score, maps: bool = False) -> dict:
    """Score what is not scored yet and write the summary, which is returned.

    Raises:
        UserError: no model, no photos, or `out` cannot be written.
    """
    folder = locate(model)
    checkpoint = load(folder)
    key = _fingerprint(checkpoint, options, maps)
    paths = [path for path in photos(sources) if not _is_own_map(path, out)]
    (shards := out / "scores").mkdir(parents=True, exist_ok=True)
    if maps:
        (out / "maps").mkdir(exist_ok=True)
    began = time.perf_counter()
    with _alone(out):
        done = set(_finished(shards, key)["path"].to_pylist())
        todo = [path for path in paths if _shown(path) not in done]
        first = 1 + max((int(file.name.split("-")[1]) for file in shards.glob(f"shard-*-{key}.parquet")), default=-1)
        if todo:
            with connect(), _progress(len(paths), len(paths) - len(todo)) as bar:
                to = out.resolve() / "maps" if maps else None
                rows = _run(todo, first, folder.resolve(), checkpoint, options, key, to)
                for number, table in _in_shards(rows, len(todo), first, options.shard_rows, bar):
                    with whole(shards / f"shard-{number:05d}-{key}.parquet") as temporary:
                        pq.write_table(table, temporary)
        seconds = time.perf_counter() - began
        return _summarise(out, key, checkpoint, len(todo) / seconds if todo else None)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep a second run out of the folder; the lock goes with the process, however it ends."""
    with (out / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{out}: another run is writing here; wait for its end, or give another --out") from None
        yield


def _fingerprint(checkpoint: Checkpoint, options: Score, maps: bool) -> str:
    """Of all that changes a row; 16 hex digits of it name the shards."""
    numbers = options.model_dump(include={"max_pixels", "sharp_below", "blurred_above"})
    return fingerprint(checkpoint.sha256, scoring.VERSION, resolve("auto"), numbers, maps)[:16]


def _shown(path: str) -> str:
    """A path as the table holds it; bytes of a name that are not UTF-8 stand as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_own_map(path: str, out: Path) -> bool:
    """Whether a photo found is a map written by an earlier run: `out` may lie inside a source."""
    folder, name = os.path.split(path)
    return bool(re.fullmatch(r"[0-9a-f]{32}\.png", name)) and os.path.realpath(folder) == os.path.realpath(out / "maps")


def _run(
    todo: list[str], first: int, folder: Path, checkpoint: Checkpoint, options: Score, key: str, maps: Path | None
) -> Iterator[dict]:
    """Rows as they come, in any order, with the shard that each belongs to."""
    import ray

    items = [
        {"path": _shown(path), "file": os.fsencode(path), "shard": first + i // options.shard_rows}
        for i, path in enumerate(todo)
    ]
    scored = (
        ray.data.from_items(items, override_num_blocks=max(len(items) // 32, 1))
        .map(Reader(checkpoint.preprocess, options.max_pixels), num_cpus=1)
        .map_batches(
            Scorer,
            fn_constructor_args=(str(folder), checkpoint.sha256, options, key, maps),
            batch_size=options.batch,
            compute=ray.data.ActorPoolStrategy(size=options.actors),
            num_cpus=1,
        )
    )
    for batch in scored.iter_batches(batch_size=None, batch_format="pyarrow"):
        yield from batch.to_pylist()


class Reader:
    """A path -> its photo as the network will see it, or the reason why not."""

    def __init__(self, preprocess: Preprocess, max_pixels: int):
        self.preprocess, self.max_pixels = preprocess, max_pixels

    def __call__(self, row: dict) -> dict:
        import cv2

        cv2.setNumThreads(1)
        size = self.preprocess.size
        facts = {"error": "", "width": 0, "height": 0, "content_sha256": "", "contrast": 0.0}
        try:
            shrunk = scoring.shrink(images.read_bytes(os.fsdecode(row["file"])), self.preprocess, self.max_pixels)
        except images.ImageError as error:
            return row | facts | {"error": str(error), "pixels": np.zeros((size, size, 3), np.uint8)}
        return row | facts | asdict(shrunk)


class Scorer:
    """An actor with the network."""

    def __init__(self, folder: str, sha256: str, options: Score, key: str, maps: Path | None):
        import torch

        torch.set_num_threads(max(cores() // options.actors, 1))
        self.predictor, self.options, self.key, self.maps = Predictor.load(folder), options, key, maps
        if self.predictor.checkpoint.sha256 != sha256:
            raise UserError(f"{folder} has changed since this job began: start it again")

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list]:
        good = [i for i, error in enumerate(batch["error"]) if not error]
        analyses = dict(zip(good, self.predictor.analyse_batch(batch["pixels"][good]), strict=True)) if good else {}
        rows = [self._row({k: batch[k][i] for k in batch}, analyses.get(i)) for i in range(len(batch["path"]))]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _row(self, photo: dict, analysis: Analysis | None) -> dict:
        checkpoint = self.predictor.checkpoint
        made_by = {"model": checkpoint.name, "model_sha256": checkpoint.sha256}
        row = {name: None for name in SCORES.names} | made_by | {name: photo[name] for name in ("shard", "path")}
        if analysis is None:
            return row | {"status": "failed", "error": photo["error"]}
        known = {name: photo[name].item() for name in ("width", "height", "contrast")}
        focus = scoring.focus_of(analysis, **known, score=self.options)
        name = self._write_map(analysis.defocus, photo) if self.maps else None
        return row | known | asdict(focus) | {"status": "ok", "content_sha256": photo["content_sha256"], "map": name}

    def _write_map(self, defocus: np.ndarray, photo: dict) -> str:
        """Named by the photo's content and the fingerprint, never by the input's path."""
        name = f"{fingerprint(photo['content_sha256'], self.key)[:32]}.png"
        pixels = to_uint8(self.predictor.preprocess.expand(defocus, photo["height"], photo["width"]))
        with whole(self.maps / name) as temporary:
            temporary.write_bytes(images.encode_png(pixels))
        return name


def _in_shards(rows: Iterator[dict], count: int, first: int, size: int, bar: tqdm) -> Iterator[tuple[int, pa.Table]]:
    """Gather rows by shard; a shard is given out when its last row has come."""
    open_shards: dict[int, list[dict]] = {}
    failed = 0
    for row in rows:
        number = row.pop("shard")
        failed += row["status"] == "failed"
        bar.set_postfix(failed=failed, refresh=False)
        bar.update()
        gathered = open_shards.setdefault(number, [])
        gathered.append(row)
        if len(gathered) == min(size, count - (number - first) * size):
            del open_shards[number]
            yield number, pa.Table.from_pylist(sorted(gathered, key=lambda r: r["path"]), schema=SCORES)
    if open_shards:
        raise UserError(f"{sum(map(len, open_shards.values()))} photos wait for others of their shard that never came "
                        "back; run the command again")  # fmt: skip


def failures(out: Path, key: str) -> list[str]:
    """A sentence for each photo that failed."""
    table = _finished(out / "scores", key)
    failed = table.filter(pc.equal(table["status"], "failed")).to_pylist()
    return [f"{row['path']}: {row['error']}" for row in failed]


def _finished(shards: Path, key: str) -> pa.Table:
    files = sorted(shards.glob(f"shard-*-{key}.parquet"))
    columns = ["path", "status", "error"]
    tables = [pq.read_table(file, columns=columns) for file in files]
    return pa.concat_tables([SCORES.empty_table().select(columns), *tables])


def _summarise(out: Path, key: str, checkpoint: Checkpoint, rate: float | None) -> dict:
    status = _finished(out / "scores", key)["status"]
    failed = pc.sum(pc.equal(status, "failed")).as_py() or 0
    summary = {
        "total": len(status),
        "ok": len(status) - failed,
        "failed": failed,
        "images_per_second": rate or _last_rate(out / "summary.json", key),
        "model": checkpoint.name,
        "model_sha256": checkpoint.sha256,
        "fingerprint": key,
    }
    write_json(out / "summary.json", summary)
    return summary


def _last_rate(path: Path, key: str) -> float | None:
    """Of the run before, where this one had nothing to score: a run that does nothing changes nothing."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return summary.get("images_per_second") if summary.get("fingerprint") == key else None


def _progress(total: int, done: int) -> tqdm:
    seldom = 0.5 if sys.stderr.isatty() else 10  # seconds between two lines of progress
    return tqdm(total=total, initial=done, unit=" photos", desc="score", mininterval=seldom)


if __name__ == "__main__":
    run(score)
