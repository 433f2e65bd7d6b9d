"""Measured rows of the ablation: stored with data, parameters and commit, and found by data and parameters."""

from __future__ import annotations

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

    A row that was measured before a parameter was introduced is still the same row, unless this row is about that
    parameter, that is, has another value of it than its profile.
    """
    ours, plain = _recipe(row.config(config)), _recipe(config.model_copy(update={"profile": row.profile}))
    for key, kept in found.items():
        if (kept["data"], kept["seed"]) == (data, config.seed) and all(
            value == kept[part].get(name, plain[part][name])
            for part, values in ours.items()
            for name, value in values.items()
        ):
            return key
    return row.key(config, data)


def _recipe(config: Config) -> dict[str, dict]:
    """Return the parameters of model and training that are compared, as they are stored."""
    parts = {"model": config.model.model_dump(mode="json"), "recipe": config.train.model_dump(mode="json")}
    for part in parts.values():
        for name in [*NOT_IN_FINGERPRINT, *(["precision"] if part.get("precision") == "auto" else [])]:
            part.pop(name, None)
    return parts


def training_images() -> pa.Table:
    """Return the names and hashes of the images that rows are trained on."""
    return shards.read(local_copy(AUGMENTED), columns=["source_id", "variant", "sha256"])
