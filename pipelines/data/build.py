"""Builds a folder of Parquet shards with Ray Data, one task per shard.

Each shard carries the fingerprint of everything that it is made from. Valid shards are kept, so a stopped build
resumes, and any number of workers writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.cluster.progress import progress
from pipelines.cluster.ray_cluster import connect, ray_data
from pipelines.storage.outputs import leave_receipt
from pipelines.storage.store import Store, below
from r2mrf.data import shards
from r2mrf.errors import UserError
from r2mrf.system.fingerprint import fingerprint
from r2mrf.system.machine import cores


@dataclass(frozen=True)
class ShardTask:
    """A shard to make: its name, the arguments for its rows, their expected number, the fingerprint of all of it."""

    name: str
    arguments: object
    count: int
    fingerprint: str


def build(
    folder: Path, tasks: list[ShardTask], rows: Callable[[Any], list[dict]], schema: pa.Schema, storage: str = ""
) -> int:
    """Make `folder/NAME.parquet` for every task, and remove all other files.

    If `storage` is given, the shards are made there, in a folder of their own for each version, with a receipt in
    `folder`.

    Args:
        rows: makes a task's rows from its arguments; runs on any machine of the cluster.
        schema: schema of the shards.

    Returns:
        The number of rows in the folder.

    Raises:
        UserError: `rows` raised one for some tasks; the other shards are still made and kept.
    """
    if storage:
        make = fingerprint([(task.name, task.fingerprint) for task in tasks])
        store = Store(below(storage, folder.as_posix(), make[:16]))
    else:
        store = Store(str(folder))
        _remove_strays(folder, {f"{task.name}.parquet" for task in tasks})
    todo = [task for task in tasks if _rows_in(store, task) != task.count]
    total, left = (sum(task.count for task in some) for some in (tasks, todo))
    with progress(total=total, initial=total - left, unit=" rows", desc=folder.name) as bar:
        if todo:
            problems = []
            for result in _run(todo, store.address, rows, schema):
                bar.update(result["count"])
                problems += [result["error"]] if result["error"] else []
            if problems:
                raise UserError("\n".join(sorted(problems)))
    if storage:
        leave_receipt(folder, store, [f"{task.name}.parquet" for task in tasks], total)
    return total


def _remove_strays(folder: Path, names: set[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stray in folder.resolve().iterdir():
        if stray.name in names:
            continue
        if stray.is_dir() and not stray.is_symlink():
            raise UserError(
                f"{stray}: a folder among the shards: move it away, because only files of this stage belong there"
            )
        stray.unlink()


def _rows_in(store: Store, task: ShardTask) -> int | None:
    """Return the number of rows in the task's shard, or None if it is missing, damaged or out of date."""
    name = f"{task.name}.parquet"
    try:
        with store.open(name) as file:
            found = shards.inspect(file, task.fingerprint)
    except OSError:
        return None
    if found.damage:
        print(f"{store.address}/{name}: damaged ({found.damage}): it will be made again", flush=True)
    return found.rows


def _run(todo: list[ShardTask], address: str, rows: Callable, schema: pa.Schema) -> Iterator[dict]:
    """Yield the number of rows and the error, if any, of each task as it ends."""

    def write(row: dict) -> dict:
        import cv2

        cv2.setNumThreads(1)  # Ray distributes the cores, one per task
        task = todo[row["index"]]
        try:
            made = rows(task.arguments)
            if len(made) != task.count:
                raise UserError(f"{task.name}: {len(made)} rows were made instead of {task.count}")
            with Store(address).writing(f"{task.name}.parquet") as path:
                shards.write(path, made, schema, task.fingerprint)
        except UserError as error:  # a message that has passed through Ray is no longer a sentence for users
            return {"count": 0, "error": str(error)}
        return {"count": task.count, "error": ""}

    with connect(logical_cpus=cores()):
        data = ray_data().from_items([{"index": i} for i in range(len(todo))], override_num_blocks=len(todo))
        yield from data.map(write, num_cpus=1).iter_rows()
