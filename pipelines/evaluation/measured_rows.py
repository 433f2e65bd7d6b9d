"""What was measured of the ablation's rows, by data and parameters; says the commit, and depends on no code."""

from __future__ import annotations

import json

import pyarrow as pa

from pipelines.project.folders import AUGMENTED, REPORTS
from pipelines.project.tables import write_json
from pipelines.storage.outputs import local_copy
from r2mrf.data import shards
from r2mrf.errors import UserError

MEASURED = REPORTS / "ablate/measured.json"


def measured() -> dict[str, dict]:
    """Rows that were measured, by their keys.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return json.loads(MEASURED.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise UserError(f"{MEASURED} is damaged: delete it, and its rows are measured anew") from None


def keep(changed: dict[str, dict]) -> None:
    """Add rows to those that were measured, also by another process meanwhile."""
    write_json(MEASURED, measured() | changed)


def training_images() -> pa.Table:
    """Names and hashes of the images that rows learn from."""
    return shards.read(local_copy(AUGMENTED), columns=["source_id", "variant", "sha256"])
