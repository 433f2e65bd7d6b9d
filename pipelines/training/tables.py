"""The tables of training images from which a run draws its batches: data/augmented, and those of `train.mix`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.project.folders import AUGMENTED, fingerprint_of
from pipelines.storage.outputs import Folder, folder
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.data.batches import split

COLUMNS = ("source_id", "variant", "image", "mask", "sha256")


@dataclass(frozen=True)
class Tables:
    """Rows to train on, rows held back for validation, and further tables with their shares of a batch."""

    learn: pa.Table
    held_back: pa.Table
    others: list[tuple[pa.Table, float]]


def folders(config: Config) -> list[Folder]:
    """Return the folders of a run, in a form that can be sent to its workers; data/augmented comes first."""
    return [folder(path) for path in _paths(config)]


def fingerprints(config: Config) -> list[str]:
    """Return the fingerprints of the files in a run's folders, in the same order."""
    return [fingerprint_of(path) for path in _paths(config)]


def read(config: Config, inputs: list[Folder], columns: tuple[str, ...] = COLUMNS) -> Tables:
    """Read the tables, and verify photos and masks if they are read.

    Held-back pairs are taken from the first table; pairs with the same names are left out of the others.

    Raises:
        UserError: a folder has no shards or damaged ones, or nothing is left to train on.
    """
    first, *rest = (_read(given, columns) for given in inputs)
    learn, held_back = split(first, config.train.validation, config.seed)
    held = pc.unique(held_back["source_id"])
    others = [
        (table.filter(pc.invert(pc.is_in(table["source_id"], held))), other.share)
        for table, other in zip(rest, config.train.mix, strict=True)
    ]
    return Tables(learn, held_back, others)


def _read(given: Folder, columns: tuple[str, ...]) -> pa.Table:
    table = shards.read(given.local_copy(), columns=list(columns))
    if "sha256" in columns:
        shards.check_rows(table, given.path)
    return table


def _paths(config: Config) -> list[Path]:
    return [AUGMENTED, *(Path(other.folder) for other in config.train.mix)]
