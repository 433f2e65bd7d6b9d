"""Builds a folder of Parquet shards with Ray Data, one task a shard.

A shard is named by its job and marked with a fingerprint of all that it is made from: what exists already
is kept, so a build that was stopped goes on, and any number of workers writes the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from pipelines.cluster import connect, cores
from r2mrf import shards
from r2mrf.errors import UserError


def build(
    folder: Path,
    jobs: dict[str, dict],
    rows: Callable[[dict], list[dict]],
    schema: pa.Schema,
    fingerprint: str,
) -> int:
    """Make `folder/NAME.parquet` for every job and remove what is not asked for.

    Args:
        jobs: NAME -> JSON-able arguments, with the number of rows to expect under `count`.
        rows: makes a job's rows; runs on any machine of the cluster.
        schema: of the shards.
        fingerprint: of all that the rows depend on.

    Returns:
        Number of rows in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder.resolve() / f"{name}.parquet" for name in jobs}
    for stray in set(folder.resolve().iterdir()) - set(paths.values()):
        if stray.is_dir() and not stray.is_symlink():
            raise UserError(f"{stray}: a folder among the shards; move it away, only files of this stage belong there")
        stray.unlink()
    done = {name: shards.rows_written(path, fingerprint) for name, path in paths.items()}
    todo = [{"name": name, "path": str(paths[name]), **jobs[name]} for name in jobs if done[name] is None]
    kept = sum(count or 0 for count in done.values())
    total = kept + sum(job["count"] for job in todo)
    bar = tqdm(
        total=total,
        initial=kept,
        unit=" rows",
        desc=folder.name,
        mininterval=0.5 if sys.stderr.isatty() else 10,
    )
    with bar:
        if todo:
            for count in _run(todo, rows, schema, fingerprint):
                bar.update(count)
        return bar.n


def _run(todo: list[dict], rows: Callable[[dict], list[dict]], schema: pa.Schema, fingerprint: str) -> Iterator[int]:
    def write(job: dict) -> dict:
        import cv2

        cv2.setNumThreads(1)  # the cores are shared out by Ray, one task each
        return {"count": shards.write(Path(job["path"]), rows(job), schema, fingerprint)}

    with connect(logical_cpus=cores()):
        import ray

        dataset = ray.data.from_items(todo, override_num_blocks=len(todo)).map(write, num_cpus=1)
        for result in dataset.iter_rows():
            yield result["count"]
