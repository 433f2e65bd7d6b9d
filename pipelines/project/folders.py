"""The folders that stages read and leave, and what earlier stages have chosen."""

from __future__ import annotations

from pathlib import Path

from pipelines.storage.outputs import local_copy
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.system import strict_json
from r2mrf.system.fingerprint import fingerprint, of_files

PREPARED, AUGMENTED, MODEL = Path("data/prepared"), Path("data/augmented"), Path("models/r2mrf")
LIBRARY = Path("library")  # where score leaves its table
REPORTS = Path("reports")
CHOSEN_STEPS = REPORTS / "tune" / "steps.json"


def fingerprint_of(shards: Path) -> str:
    """Fingerprint of the Parquet files of a folder."""
    return fingerprint(of_files(local_copy(shards).glob("*.parquet")))


def with_tuned_steps(config: Config) -> Config:
    """Replace `model.steps: auto` by the number of recurrent steps that `tune` has chosen.

    Raises:
        UserError: it has not chosen yet.
    """
    if config.model.steps != "auto":
        return config
    try:
        chosen = strict_json.parse_object(CHOSEN_STEPS.read_bytes())["steps"]
    except (OSError, ValueError, KeyError):
        raise UserError(
            f"{config.profile}.model.steps is auto, and {CHOSEN_STEPS} does not say what was chosen: "
            "run `dvc repro tune`, or give a number"
        ) from None
    return config.but(model={"steps": chosen})
