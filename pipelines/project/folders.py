"""The folders that stages read and write, and the choices of earlier stages."""

from __future__ import annotations

from pathlib import Path

from pipelines.storage.outputs import local_copy
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.system import strict_json
from r2mrf.system.fingerprint import fingerprint, of_files

PREPARED, AUGMENTED, MODEL = Path("data/prepared"), Path("data/augmented"), Path("models/r2mrf")
LIBRARY = Path("library")  # where score writes its table
REPORTS = Path("reports")
CHOSEN_STEPS = REPORTS / "tune" / "steps.json"


def fingerprint_of(shards: Path) -> str:
    """Return the fingerprint of the Parquet files in a folder."""
    return fingerprint(of_files(local_copy(shards).glob("*.parquet")))


def with_tuned_steps(config: Config) -> Config:
    """Replace `model.steps: auto` by the number of recurrent steps that `tune` chose.

    Raises:
        UserError: `tune` has not chosen yet.
    """
    if config.model.steps != "auto":
        return config
    try:
        chosen = strict_json.parse_object(CHOSEN_STEPS.read_bytes())["steps"]
    except (OSError, ValueError, KeyError):
        raise UserError(
            f"{config.profile}.model.steps is auto, but {CHOSEN_STEPS} contains no choice: "
            "run `dvc repro tune`, or set a number"
        ) from None
    return config.but(model={"steps": chosen})
