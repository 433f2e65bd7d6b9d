"""Reads the table of a scored folder, with verdicts by any thresholds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.library.columns import ADDED, SCORES, completed
from r2mrf.config import Score
from r2mrf.errors import UserError
from r2mrf.prediction.focus import Thresholds
from r2mrf.system import strict_json
from r2mrf.system.regular_files import check_regular, read_regular

THRESHOLDS = ("sharp_below", "blurred_above", "soft_above")
DEFAULT = {name: Score.model_fields[name].default for name in THRESHOLDS}


@dataclass(frozen=True)
class Scored:
    """A scored folder. `rows` have the columns of `columns.SCORES`, sorted by path; `summary` is summary.json."""

    folder: Path
    summary: dict
    thresholds: Thresholds
    rows: list[dict]


def read(folder: Path, **given: float | None) -> Scored:
    """Return the rows of the run described by summary.json, with its thresholds or those in `given`.

    `given` holds fields of `focus.Thresholds`. The network is not needed, because verdicts follow from the table.

    Raises:
        UserError: nothing was scored into the folder, or one of its files is damaged or from another version.
    """
    summary = _summary(folder / "summary.json")
    of_run = {name: summary.get(name, DEFAULT[name]) for name in THRESHOLDS}
    thresholds = Thresholds(**of_run | {name: value for name, value in given.items() if value is not None})
    files = sorted((folder / "scores").glob(f"shard-*-{summary['fingerprint']}.parquet"))
    rows = [row for file in files for row in _shard(file).to_pylist()]
    if not rows:
        raise UserError(
            f"{folder / 'scores'}: the table of the run in summary.json is missing: run `r2mrf score` again"
        )
    for row in rows:
        if row["status"] == "ok":
            row["verdict"] = thresholds.verdict_of(row)
    return Scored(folder, summary, thresholds, sorted(rows, key=lambda row: row["path"]))


def _summary(path: Path) -> dict:
    try:
        summary = strict_json.parse_object(read_regular(path, strict_json.MOST_BYTES))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: give the folder that `r2mrf score --out` wrote") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}): run `r2mrf score` again") from None
    # the fingerprint becomes part of a file name pattern
    if not re.fullmatch(r"[0-9a-f]+", str(summary.get("fingerprint"))):
        raise UserError(f"{path}: it names no table: run `r2mrf score` again")
    for name in DEFAULT:
        value = summary.get(name, DEFAULT[name])
        if isinstance(value, bool) or not isinstance(value, int | float | type(DEFAULT[name])):
            raise UserError(f"{path}: {name} is not a number: give --sharp-below and --blurred-above, or score again")
    return summary


def _shard(file: Path) -> pa.Table:
    try:
        check_regular(file)
        table = pq.read_table(file, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: is damaged ({error}): remove it and run `r2mrf score` again") from None
    if missing := set(SCORES.names) - ADDED - set(table.column_names):
        raise UserError(f"{file}: lacks {', '.join(sorted(missing))}, because another version wrote it: score again")
    return completed(table)
