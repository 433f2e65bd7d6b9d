"""Ledgers whose photos were scored without a network, and the library that they list."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.library.columns import Row
from pipelines.library.ledger import Ledger
from pipelines.library.listing import Listing
from pipelines.library.photo import Photo, from_text
from pipelines.library.walk import Library
from r2mrf.config import Score
from r2mrf.prediction.record import thresholds_of
from tests.support.photos import save_photo

KEY = "0123456789abcdef"
OPTIONS = Score(shard_rows=3)


def photo(name: str, size: int = 1, mtime: int = 1) -> Photo:
    return Photo(f"/{name}", f"/{name}".encode(), None, size, mtime)


def row(path: str, blur: float | None = 0.5, contrast: float = 50.0, sha256: str | None = None) -> Row:
    """Return the row of a photo that was scored, or of one that failed."""
    made_by = {"path": path, "model": "tiny", "model_sha256": "ab" * 32}
    if blur is None:
        return Row(status="failed", error="corrupt: half of it", **made_by)
    figures = {"blur_fraction": blur, "focus_area": 0.5, "contrast": contrast, "verdict": "partial"}
    return Row(status="ok", width=640, height=480, content_sha256=sha256, **figures, **made_by)


def ledger(out: Path, **options) -> Ledger:
    return Ledger(out, KEY, thresholds_of(OPTIONS.model_copy(update=options)))


def rows_of(out: Path) -> list[dict]:
    return [row for file in sorted((out / "scores").iterdir()) for row in pq.read_table(file).to_pylist()]


def list_and_score(library: Path, out: Path, fails: tuple[str, ...] = (), **options) -> list[list[str]]:
    """List a library; return the names of the photos in each new shard. Those named in `fails` fail."""
    made = ledger(out)
    listing = Listing(Library([str(library)]), made, OPTIONS.model_copy(update=options))
    numbers = [number for wave in listing.waves() for number in wave]
    for number in numbers:
        made.commit(number, [scored(p, Path(p.path).name in fails) for p in made.photos(number)])
    return [[Path(p.path).name for p in made.photos(number)] for number in numbers]


def scored(photo: Photo, fails: bool) -> Row:
    made = row(photo.path, None) if fails else row(photo.path, sha256=sha256(photo.path))
    return replace(made, partner=photo.partner)


def sha256(path: str) -> str:
    return hashlib.sha256(Path(from_text(path)).read_bytes()).hexdigest()


def paths_of(out: Path) -> list[str]:
    return sorted(Path(row["path"]).relative_to(out.parent / "photos").as_posix() for row in rows_of(out))


def seven_photos(folder: Path) -> Path:
    for i in range(7):
        save_photo(folder / f"{i}.jpg", seed=i)
    return folder
