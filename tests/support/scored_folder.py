"""A scored folder made by hand: no network run, no Ray."""

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.library.columns import table_of
from pipelines.report.page import with_pictures
from pipelines.report.scored_folder import ReportRow, read

FINGERPRINT = "0123456789abcdef"
MADE_BY = {"model": "tiny", "model_sha256": "ab" * 32}

HOSTILE = [  # names of photos
    "</script><script>window.hacked=1</script>.jpg",
    "<img src=x onerror=window.hacked=1>&amp;.jpg",
    "\"'`${window.hacked=1}$style<!--.jpg",
    "caf\\xe9 \u202egpj.\u2028\x01\n.jpg",
]


def ok(path: object, blur: float = 0.5, **others: object) -> ReportRow:
    """Return the row of a scored photo; its content is the file at `path`, or the path itself if there is none."""
    content = Path(path).read_bytes() if Path(path).is_file() else str(path).encode()
    known = {
        **MADE_BY,
        "path": str(path),
        "status": "ok",
        "width": 160,
        "height": 120,
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "blur_fraction": blur,
        "focus_area": 1 - blur if blur <= 0.85 else (1 - blur) / 10,  # what is blurred has nothing in focus
        **dict.fromkeys(["focus_x0", "focus_y0"], 0),
        **dict.fromkeys(["focus_x1", "focus_y1"], 100),
        "center_blur": blur,
        "confidence": 0.75,
        "verdict": "partial",
        "contrast": 50.0,
        "map": None,
    } | others
    return ReportRow(**known)


def failed(path: object, error: str = "corrupt: the image is damaged or cut short") -> ReportRow:
    return ReportRow(path=str(path), status="failed", error=error, **MADE_BY)


def save_table(folder: Path, rows: list[ReportRow], fingerprint: str = FINGERPRINT, **others: object) -> Path:
    """Write a table of scores as `r2mrf score` does, in two shards; `others` are added to summary.json."""
    (folder / "scores").mkdir(parents=True, exist_ok=True)
    for number, part in enumerate((rows[: len(rows) // 2], rows[len(rows) // 2 :])):
        table = table_of(part)
        pq.write_table(table, folder / "scores" / f"shard-{number:05d}-{fingerprint}.parquet")
    summary = {"total": len(rows), **MADE_BY, "fingerprint": fingerprint, **others}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def pictured(folder: Path, rows: list[ReportRow]) -> list[ReportRow]:
    """Save a table, and return its rows with their pictures."""
    return with_pictures(read(save_table(folder, rows))).rows
