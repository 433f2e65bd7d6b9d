"""Measured rows of the ablation: stored with data, parameters and commit, and found by data and parameters."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pipelines.evaluation.ablation_rows import AblationRow
from pipelines.project.folders import AUGMENTED, REPORTS
from pipelines.project.tables import read_json, write_json
from pipelines.storage.outputs import local_copy
from pipelines.training.recipe import NOT_IN_FINGERPRINT
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.errors import UserError
from r2mrf.system.lock import exclusive

MEASURED = REPORTS / "ablate/measured.json"
PATIENCE = 60.0  # seconds to wait for the turn of another process


def measured() -> dict[str, dict]:
    """Return the measured rows by their keys.

    Raises:
        UserError: the file is damaged.
    """
    return read_json(MEASURED) or {}


def keep(changed: dict[str, dict]) -> None:
    """Add rows to the stored ones; other processes that do so at the same time take turns.

    Raises:
        UserError: the file is damaged, or another process does not end its turn.
    """
    busy = UserError(f"{MEASURED}: another process does not finish writing it: end that process")
    with exclusive(MEASURED.with_name(".lock"), busy, PATIENCE):
        write_json(MEASURED, measured() | changed)


def key_of(row: AblationRow, config: Config, data: str, found: dict[str, dict]) -> str:
    """Return the key of a row among the measured ones (`found`), or the key that it will get.

    A row that was measured before a parameter was introduced is still the same row: only the parameters that it stored
    are compared.
    """
    ours = row.config(config)
    now = {"model": ours.model.model_dump(mode="json"), "recipe": ours.train.model_dump(mode="json")}
    for part in now.values():
        for name in [*NOT_IN_FINGERPRINT, *(["precision"] if part.get("precision") == "auto" else [])]:
            part.pop(name, None)
    for key, kept in found.items():
        same = (kept["data"], kept["seed"]) == (data, ours.seed)
        if same and all(part.get(name, value) == value for name, value, part in _said(kept, now)):
            return key
    return row.key(config, data)


def _said(kept: dict, now: dict[str, dict]) -> Iterator[tuple[str, object, dict]]:
    """Yield name and value of each parameter that a measured row stored, and the present values to compare with."""
    for part, values in now.items():
        for name, value in kept[part].items():
            yield name, value, values


def training_images() -> pa.Table:
    """Return the names and hashes of the images that rows are trained on."""
    return shards.read(local_copy(AUGMENTED), columns=["source_id", "variant", "sha256"])
