"""The tables of training images that a run draws its batches from: data/augmented, and those of `train.mix`."""

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
    """Rows to learn from, rows held back, and further rows with their shares of a batch."""

    learn: pa.Table
    held_back: pa.Table
    others: list[tuple[pa.Table, float]]


def folders(config: Config) -> list[Folder]:
    """The folders of a run, in a form that can be sent to its workers; data/augmented comes first."""
    return [folder(path) for path in _paths(config)]


def fingerprints(config: Config) -> list[str]:
    """Fingerprints of the files in the folders of a run, in the same order."""
    return [fingerprint_of(path) for path in _paths(config)]


def read(config: Config, places: list[Folder], columns: tuple[str, ...] = COLUMNS) -> Tables:
    """Read the tables, and check photos and masks if they are read. Pairs held back are of the first table; the others
    are read without pairs of their names.

    Raises:
        UserError: a folder holds no shards or damaged ones, or nothing is left to learn from.
    """
    first, *rest = (_read(place, columns) for place in places)
    learn, held_back = split(first, config.train.validation, config.seed)
    held = pc.unique(held_back["source_id"])
    others = [
        (table.filter(pc.invert(pc.is_in(table["source_id"], held))), other.share)
        for table, other in zip(rest, config.train.mix, strict=True)
    ]
    return Tables(learn, held_back, others)


def _read(place: Folder, columns: tuple[str, ...]) -> pa.Table:
    table = shards.read(place.local_copy(), columns=list(columns))
    if "sha256" in columns:
        shards.check_rows(table, place.path)
    return table


def _paths(config: Config) -> list[Path]:
    return [AUGMENTED, *(Path(other.folder) for other in config.train.mix)]
