"""A scored folder made by hand: no network run, no Ray."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipelines.ledger import SCORES

FINGERPRINT = "0123456789abcdef"
MADE_BY = {"model": "tiny", "model_sha256": "ab" * 32}

HOSTILE = [  # names of photos
    "</script><script>window.hacked=1</script>.jpg",
    "<img src=x onerror=window.hacked=1>&amp;.jpg",
    "\"'`${window.hacked=1}$style<!--.jpg",
    "caf\\xe9 \u202egpj.\u2028\x01\n.jpg",
]


def ok(path: object, blur: float = 0.5, **others: object) -> dict:
    """Row of a photo that was scored; its content is what lies at `path`, or the path itself."""
    content = Path(path).read_bytes() if Path(path).is_file() else str(path).encode()
    return {
        **MADE_BY,
        "path": str(path),
        "status": "ok",
        "width": 160,
        "height": 120,
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "blur_fraction": blur,
        "focus_area": 1 - blur,
        **dict.fromkeys(["focus_x0", "focus_y0"], 0),
        **dict.fromkeys(["focus_x1", "focus_y1"], 100),
        "center_blur": blur,
        "confidence": 0.75,
        "verdict": "partial",
        "contrast": 50.0,
        "map": None,
    } | others


def failed(path: object, error: str = "corrupt: the image is damaged or cut short") -> dict:
    return dict.fromkeys(SCORES.names) | MADE_BY | {"path": str(path), "status": "failed", "error": error}


def save_table(folder: Path, rows: list[dict], fingerprint: str = FINGERPRINT) -> Path:
    """As `r2mrf score` leaves it, in two shards."""
    (folder / "scores").mkdir(parents=True, exist_ok=True)
    for number, part in enumerate((rows[: len(rows) // 2], rows[len(rows) // 2 :])):
        table = pa.Table.from_pylist(part, schema=SCORES)
        pq.write_table(table, folder / "scores" / f"shard-{number:05d}-{fingerprint}.parquet")
    summary = {"total": len(rows), **MADE_BY, "fingerprint": fingerprint}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def save_scene(path: Path, seed: int, blur: float = 0, taken: str = "", size: tuple[int, int] = (160, 120)) -> Path:
    """A photo of soft patches, the same for the same seed; `blur`: sigma in pixels; `taken`: EXIF time."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    pixels = cv2.resize(patches, size, interpolation=cv2.INTER_CUBIC)
    if blur:
        pixels = cv2.GaussianBlur(pixels, (0, 0), blur)
    exif = Image.Exif()
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95, exif=exif)
    return path
