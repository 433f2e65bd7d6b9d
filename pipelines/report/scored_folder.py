"""Reads the table of a scored folder, with verdicts by any thresholds."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.library.columns import ADDED, SCORES, Row, completed, judged, rows_of
from pipelines.library.out_folder import is_of_a_run
from pipelines.library.photo import to_text
from pipelines.report.loupe import Corner
from pipelines.storage import checked_parquet
from r2mrf.config import Score
from r2mrf.errors import UserError, one_line
from r2mrf.prediction.focus import Thresholds
from r2mrf.system import strict_json
from r2mrf.system.address import Address, is_address
from r2mrf.system.regular_files import check_regular, read_regular

# what every photo that was scored has
ALWAYS = ("width", "height", "blur_fraction", "focus_area", "center_blur", "confidence", "contrast")
DEFAULT = {field.name: Score.model_fields[field.name].default for field in fields(Thresholds)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow(Row):
    """A row of the table, with the fields that `page.with_pictures` adds.

    Attributes:
        burst: number of the photo's burst, from 1; None: it belongs to none.
        burst_size: number of photos in the burst.
        burst_rank: rank of the photo in the burst, 1 = the sharpest.
        thumbnail, thumbnail_map, crops: file names in thumbnails/, or None.
        crop_corners: positions of the crops, see `loupe`.
    """

    burst: int | None = None
    burst_size: int | None = None
    burst_rank: int | None = None
    thumbnail: str | None = None
    thumbnail_map: str | None = None
    crops: str | None = None
    crop_corners: list[Corner] | None = None

    @property
    def sharpest(self) -> bool | None:
        """Whether the photo is the sharpest of its burst; None if it belongs to none."""
        return None if self.burst_rank is None else self.burst_rank == 1


@dataclass(frozen=True)
class Scored:
    """A scored folder. `rows` are sorted by path; `summary` is summary.json."""

    folder: Path
    summary: dict
    thresholds: Thresholds
    rows: list[ReportRow]


def read(folder: Path, **given: float | None) -> Scored:
    """Return the rows of the run described by summary.json, with its thresholds or those in `given`.

    `given` holds fields of `focus.Thresholds`. The network is not needed, because verdicts follow from the table.

    Raises:
        UserError: nothing was scored into the folder, or one of its files is damaged or from another version.
    """
    summary = _summary(folder / "summary.json")
    of_run = {name: summary.get(name, default) for name, default in DEFAULT.items()}
    thresholds = Thresholds(**of_run | {name: value for name, value in given.items() if value is not None})
    files = sorted((folder / "scores").glob(f"shard-*-{summary['fingerprint']}.parquet"))
    rows = [row for file in files for row in rows_of(judged(_shard(file), thresholds), ReportRow)]
    if not rows:
        raise UserError(
            f"{folder / 'scores'}: the table of the run in summary.json is missing: run `r2mrf score` again"
        )
    # in version 0.1, lists could bring secrets into tables
    rows = [replace(row, path=str(Address.parse(row.path))) if is_address(row.path) else row for row in rows]
    return Scored(folder, summary, thresholds, sorted(rows, key=lambda row: row.path))


def check_target(scored: Scored, target: Path) -> None:
    """Raise UserError if a file or folder to be written is one of the photos, or belongs to the scored folder."""
    real = Path(os.path.realpath(target))
    names = {to_text(os.path.abspath(target)), to_text(str(real))}  # noqa: PTH100
    if any(row.path in names for row in scored.rows):
        raise UserError(f"{target} is one of the photos and would be overwritten: choose another name")
    if is_of_a_run(real, Path(os.path.realpath(scored.folder))):
        raise UserError(
            f"{target} belongs to what `r2mrf score` wrote, and reading it again would fail: choose another name"
        )


def _summary(path: Path) -> dict:
    try:
        summary = strict_json.parse_object(read_regular(path, strict_json.MOST_BYTES))
    except FileNotFoundError:
        if (path.parent / "scores").is_dir():
            raise UserError(
                f"{path}: no such file, so the first run of `r2mrf score` has not finished: wait, or run it again"
            ) from None
        raise UserError(f"{path}: no such file: give the folder that `r2mrf score --out` wrote") from None
    except NotADirectoryError:
        raise UserError(f"{path.parent} is a file: give the folder that `r2mrf score --out` wrote") from None
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
        table = checked_parquet.read(file)
    except (OSError, checked_parquet.Damaged) as error:
        raise UserError(f"{file}: is damaged ({error}): remove it and run `r2mrf score` again") from None
    if missing := set(SCORES.names) - ADDED - set(table.column_names):
        raise UserError(f"{file}: lacks {', '.join(sorted(missing))}, because another version wrote it: score again")
    try:
        table = completed(table).cast(SCORES)
    except pa.ArrowException as error:
        raise UserError(f"{file}: has columns of other types ({one_line(error)}): score again") from None
    scored = table.filter(pc.equal(table["status"], "ok"))
    if empty := [name for name in ALWAYS if scored[name].null_count]:
        raise UserError(f"{file}: has scored photos without {', '.join(empty)}: score again")
    numbers = [field.name for field in SCORES if pa.types.is_floating(field.type)]
    if odd := [name for name in numbers if not pc.all(pc.is_finite(table[name]), min_count=0).as_py()]:
        raise UserError(f"{file}: has values in {', '.join(odd)} that are no numbers: score again")
    return table
