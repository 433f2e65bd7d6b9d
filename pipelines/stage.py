"""What every stage's command does: read params.yaml, run, and turn a user's mistake into one line."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

from pipelines.storage import exchanged, here
from r2mrf.config import Config, load
from r2mrf.errors import UserError
from r2mrf.files import whole
from r2mrf.fingerprint import fingerprint, of_files

PREPARED, AUGMENTED, MODEL = Path("data/prepared"), Path("data/augmented"), Path("models/r2mrf")
LIBRARY = Path("library")  # where score leaves its table
REPORTS = Path("reports")
CHOSEN_STEPS = REPORTS / "tune" / "steps.json"
NO_MATTER = {"workers", "max_failures"}  # of a training recipe: may change between a stop and going on


def main(stage: Callable[[Config], None]) -> None:
    """The command line of a stage, which takes all from params.yaml: `--help`, or a run."""
    about = sys.modules[stage.__module__].__doc__
    argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter, epilog="No arguments: see params.yaml."
    ).parse_args()
    run(stage)


def run(stage: Callable[[Config], None]) -> None:
    """Run a stage as a program: exit status 0, or 2 with one line for what a user can mend."""
    try:
        config = load()
        with exchanged(config.storage):
            stage(config)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a full disk, a folder that is read-only, a storage out of reach
        why = " ".join(str(error).split())
        print(f"error: {why}; mend that, and the same command goes on from here", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


def fingerprint_of(shards: Path) -> str:
    """Of the Parquet files of a folder."""
    return fingerprint(of_files(here(shards).glob("*.parquet")))


def decided(config: Config) -> Config:
    """With the number of recurrent steps that `tune` has chosen, where params.yaml leaves it to that.

    Raises:
        UserError: it has not chosen yet.
    """
    if config.model.steps != "auto":
        return config
    try:
        chosen = json.loads(CHOSEN_STEPS.read_text(encoding="utf-8"))["steps"]
    except (OSError, ValueError, KeyError):
        raise UserError(
            f"{config.profile}.model.steps is auto, and {CHOSEN_STEPS} does not say what was chosen: "
            "run `dvc repro tune`, or give a number"
        ) from None
    return config.but(model={"steps": chosen})


def write_json(path: Path, values: object) -> None:
    """Write whole or not at all, the same bytes for the same values.

    Raises:
        UserError: the file cannot be written.
    """
    with whole(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def write_csv(path: Path, rows: list[dict]) -> None:
    """Write a table whole or not at all; its columns are the keys of the first row.

    Raises:
        UserError: the file cannot be written.
    """
    with whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
