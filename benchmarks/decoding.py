"""Compare ways of decoding a JPEG to a fraction of its size: is another library's path worth having?

    python -m benchmarks.decoding

Each way decodes the same photos to the smallest size that libjpeg offers above the network's input. Times are of the
processor, so other programs disturb them little.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from benchmarks.harness.figures import Figure, main
from benchmarks.harness.material import make_photos
from r2mrf.formats import jpeg

SIZES = ((4000, 3000, 8), (640, 480, 1))  # width, height, and the factor by which the reader shrinks such photos
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 1: cv2.IMREAD_COLOR}
PHOTOS, REPEATS = 8, 5


def measure(short: bool) -> Iterator[Figure]:
    cv2.setNumThreads(1)
    photos, repeats = (1, 1) if short else (PHOTOS, REPEATS)
    for width, height, factor in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            make_photos(Path(folder) / "photos", photos, width, height)
            baseline = [path.read_bytes() for path in sorted((Path(folder) / "photos").iterdir())]
        for kind, files in (("", baseline), ("progressive ", [_progressive(data) for data in baseline])):
            table = f"one {kind}JPEG of {width}×{height} at 1/{factor}"
            milliseconds = _by_turns(_ways(width, height, factor), files, repeats)
            for name, values in milliseconds.items():
                yield Figure(table, name, "ms", values)


def _ways(width: int, height: int, factor: int) -> dict[str, Callable[[bytes], object]]:
    smallest = {"min_height": -(-height // factor), "min_width": -(-width // factor)} if factor > 1 else {}

    def pillow(data: bytes) -> None:
        with Image.open(io.BytesIO(data)) as photo:
            photo.draft("RGB", (width // factor, height // factor))
            photo.load()

    return {
        "r2mrf, with its checks": lambda data: jpeg.decode(data, "RGB", factor, height, width),
        "libjpeg-turbo by simplejpeg": lambda data: simplejpeg.decode_jpeg(data, "RGB", **smallest),
        "… with its fast, inexact transforms": lambda data: simplejpeg.decode_jpeg(
            data, "RGB", fastdct=True, fastupsample=True, **smallest
        ),
        "OpenCV": lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), REDUCED[factor]),
        "Pillow": pillow,
    }


def _by_turns(ways: dict[str, Callable[[bytes], object]], files: list[bytes], repeats: int) -> dict[str, list[float]]:
    """Return, for each way and repeat, the mean milliseconds a photo."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):  # the first one warms up
        for name, way in ways.items():
            spent = []
            for data in files:
                began = time.process_time()
                way(data)
                spent.append(1000 * (time.process_time() - began))
            if repeat:
                found[name].append(statistics.mean(spent))
    return found


def _progressive(data: bytes) -> bytes:
    made = io.BytesIO()
    Image.open(io.BytesIO(data)).save(made, "JPEG", quality=90, progressive=True)
    return made.getvalue()


if __name__ == "__main__":
    main(measure)
