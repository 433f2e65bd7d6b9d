"""The record of which photos of a library are listed and which are scored: two files per shard, with the same name.

    DIR/manifest/shard-00012-FINGERPRINT.parquet    the shard's photos, fixed when it is listed
    DIR/scores/shard-00012-FINGERPRINT.parquet      their rows; the shard is done when this file exists

Files are written under a temporary name, flushed to disk and renamed. A row is dropped from the manifest first, so
scores without a manifest row mean that a drop was interrupted; it is completed at the next start.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.library.columns import MANIFEST, Row, completed, judged, reasons_of, rows_of, table_of
from pipelines.library.listed_photos import ListedPhotos, hashes
from pipelines.library.out_folder import OutFolder
from pipelines.library.photo import Photo
from pipelines.storage.checked_parquet import Damaged, read, read_facts, write
from r2mrf.errors import UserError
from r2mrf.prediction.focus import Thresholds

THRESHOLDS = b"limits"  # metadata key of a shard's scores: the thresholds of its verdicts
T = TypeVar("T")


class Ledger:
    """The shards with one fingerprint in the folder `out`.

    Args:
        thresholds: thresholds of the verdicts in its rows; None: rows are only read.

    Attributes:
        drops: how many calls of `drop` dropped photos.

    Raises:
        UserError: in any method, if a file cannot be written, or is damaged or missing.
    """

    def __init__(self, out: Path, fingerprint: str, thresholds: Thresholds | None = None):
        self.fingerprint, self.thresholds = fingerprint, thresholds
        self.drops = 0
        self._out = OutFolder.of(out)
        self._manifest, self._scores = out / "manifest", out / "scores"
        self._withheld: dict[int, dict[str, bytes]] = {}  # of shards added in this run: secret addresses by path
        self._next = 1 + max(self._numbers(self._manifest) + self._numbers(self._scores), default=-1)

    def listed(self) -> list[int]:
        """Return the numbers of all shards."""
        return self._numbers(self._manifest)

    def waiting(self) -> list[int]:
        """Return the numbers of shards that are listed but not done."""
        return sorted(set(self.listed()) - set(self._numbers(self._scores)))

    def size(self, numbers: Iterable[int]) -> int:
        """Return how many photos these shards list."""
        return sum(_checked(read_facts, self._file(self._manifest, number)).num_rows for number in numbers)

    def add(self, photos: list[Photo]) -> int:
        """Add a shard with these photos and return its number."""
        number, self._next = self._next, self._next + 1
        self._write(self._manifest, number, _manifest(photos))
        if withheld := {photo.path: photo.file for photo in photos if _stored(photo) is None}:
            self._withheld[number] = withheld
        return number

    def photos(self, number: int) -> list[Photo]:
        """Return the photos of a shard."""
        table = self._listed_in(number)
        columns = [table[name].to_pylist() for name in Photo._fields]
        withheld = self._withheld.get(number, {})
        return [
            Photo(path, withheld[path] if file is None else file, _known(row), _known(size), _known(mtime), partner)
            for path, file, row, size, mtime, partner in zip(*columns, strict=True)
            if file is not None or path in withheld
        ]

    def commit(self, number: int, rows: list[Row]) -> None:
        """Mark a shard as done by writing its rows, one per photo, in the order of its photos."""
        self._write_scores(number, table_of(rows))
        self._withheld.pop(number, None)

    def rows(self, number: int) -> list[Row]:
        """Return the rows of a shard; none if it is not done."""
        if not self._file(self._scores, number).exists():
            return []
        return rows_of(completed(self._read(self._scores, number)), Row)

    def drop(self, paths: dict[int, set[str]]) -> None:
        """Forget photos, shard by shard; when they are listed again, they count as new."""
        self.drops += bool(paths)
        for number, gone in paths.items():
            for folder in (self._manifest, self._scores):
                table = self._read(folder, number)
                kept = table.filter(pc.invert(pc.is_in(table["path"], pa.array(sorted(gone), pa.string()))))
                self._write(folder, number, kept)

    def restate(self, number: int, photos: list[Photo]) -> None:
        """Update the sizes and times of photos in a shard."""
        now = {photo.path: photo for photo in photos}
        table = self._listed_in(number)
        withheld = pc.is_null(table["file"])
        photos = [
            now.get(path, Photo(path, file or b"", _known(row), _known(size), _known(mtime), partner))
            for path, file, row, size, mtime, partner in zip(
                *(table[name].to_pylist() for name in Photo._fields), strict=True
            )
        ]
        restated = _manifest(photos)
        files = pc.if_else(withheld, pa.scalar(None, pa.binary()), restated["file"])
        self._write(self._manifest, number, restated.set_column(restated.column_names.index("file"), "file", files))

    def contents(self, number: int) -> dict[str, tuple[str | None, str | None]]:
        """Return each scored photo's SHA-256, and its raw file or None, by path; empty if the shard is not done."""
        return {row.path: (row.content_sha256, row.partner) for row in self.rows(number)}

    def repair(self) -> int:
        """Repair the ledger and return the number of photos that are done.

        Interrupted drops are completed, damaged scores are removed, so that their photos are scored again, and verdicts
        are updated if the thresholds have changed.
        """
        listed, done = set(self.listed()), 0
        for number in self._numbers(self._scores):
            file = self._file(self._scores, number)
            if number not in listed:
                raise UserError(
                    f"{file}: its manifest {self._file(self._manifest, number)} is missing; restore it, or "
                    "remove both files to have the photos scored again"
                )
            try:
                scores = read_facts(file)
            except Damaged:
                print(f"{file}: damaged; its photos will be scored again", file=sys.stderr)
                file.unlink()
                continue
            rows = self.size([number])
            if scores.num_rows != rows:
                table, kept = self._read(self._scores, number), self._read(self._manifest, number, ["path"])["path"]
                self._write(self._scores, number, table.filter(pc.is_in(table["path"], kept)))
            if self.thresholds and (scores.metadata or {}).get(THRESHOLDS) != self._stored_thresholds():
                table = completed(self._read(self._scores, number))
                self._write_scores(number, judged(table, self.thresholds))
            done += rows
        self._forget_withheld()
        return done

    def _forget_withheld(self) -> None:
        """Drop photos of waiting shards whose addresses could not be stored, so that they are listed again."""
        for number in self.waiting():
            table = self._read(self._manifest, number)
            kept = table.filter(pc.is_valid(table["file"]))
            if not len(kept):
                self._file(self._manifest, number).unlink()
            elif len(kept) < len(table):
                self._write(self._manifest, number, kept)

    def known(self) -> ListedPhotos:
        """Return all photos that are listed."""
        listed, columns = self.listed(), ["name_hash", "hash"]
        tables = [self._read(self._manifest, number, columns) for number in listed]
        numbers = np.repeat(np.array(listed, np.int32), np.array([len(table) for table in tables], int))
        table = pa.concat_tables([MANIFEST.empty_table().select(columns), *tables])
        return ListedPhotos(table["name_hash"].to_numpy(), table["hash"].to_numpy(), numbers)

    def failed(self) -> Iterator[tuple[str, str]]:
        """Yield path and error of each photo that failed."""
        for number in self._numbers(self._scores):
            table = self._read(self._scores, number, ["path", "status", "error"])
            table = table.filter(pc.equal(table["status"], "failed"))
            yield from zip(table["path"].to_pylist(), table["error"].to_pylist(), strict=True)

    def counts(self) -> dict:
        """Return total, ok and failed; the number of photos by verdict; the number of failures by reason."""
        verdicts, reasons = Counter[str](), Counter[str]()
        for number in self._numbers(self._scores):
            table = self._read(self._scores, number, ["verdict", "error"])
            verdicts.update(_counted(table["verdict"]))
            reasons.update(_counted(reasons_of(table["error"])))
        ok, failed = verdicts.total(), reasons.total()
        counts = {"total": ok + failed, "ok": ok, "failed": failed}
        return counts | {"verdicts": dict(sorted(verdicts.items())), "reasons": dict(sorted(reasons.items()))}

    def _stored_thresholds(self) -> bytes:
        return repr(self.thresholds).encode()

    def _numbers(self, folder: Path) -> list[int]:
        return sorted(int(file.name.split("-")[1]) for file in folder.glob(f"shard-*-{self.fingerprint}.parquet"))

    def _file(self, folder: Path, number: int) -> Path:
        return folder / f"shard-{number:05d}-{self.fingerprint}.parquet"

    def _read(self, folder: Path, number: int, columns: list[str] | None = None) -> pa.Table:
        return _checked(partial(read, columns=columns), self._file(folder, number))

    def _listed_in(self, number: int) -> pa.Table:
        """Return the manifest of a shard, with all columns."""
        table = self._read(self._manifest, number)
        return (
            table if "partner" in table.column_names else table.append_column("partner", pa.nulls(len(table), "string"))
        )

    def _write_scores(self, number: int, table: pa.Table) -> None:
        self._write(self._scores, number, table.replace_schema_metadata({THRESHOLDS: self._stored_thresholds()}))

    def _write(self, folder: Path, number: int, table: pa.Table) -> None:
        with self._out.writing(folder.name, self._file(folder, number).name) as temporary:
            write(table, temporary)


def _checked(read: Callable[[Path], T], file: Path) -> T:
    """Read a file of the ledger; raise UserError if it is damaged or missing."""
    try:
        return read(file)
    except Damaged as error:
        raise UserError(
            f"{file}: is damaged or missing ({error}); restore it, or choose another --out; files in scores/ may be "
            "deleted: their photos are then scored again"
        ) from None


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    """Count how often each value occurs in a column."""
    return {entry["values"]: entry["counts"] for entry in column.drop_null().value_counts().to_pylist()}


def _manifest(photos: list[Photo]) -> pa.Table:
    columns = dict(zip(Photo._fields, zip(*photos, strict=True), strict=True)) | {"file": [*map(_stored, photos)]}
    columns |= dict(zip(("name_hash", "hash"), hashes(photos).T, strict=True))
    return pa.table(columns, schema=MANIFEST)


def _stored(photo: Photo) -> bytes | None:
    """Return a photo's file in the form that the manifest stores: an address with secrets is not stored."""
    address = photo.name.address
    return None if address and address.holds_secret else photo.file


def _known(fact: int | None) -> int | None:
    """Return a number from a manifest; version 0.1 wrote -1 for unknown values."""
    return None if fact is not None and fact < 0 else fact
