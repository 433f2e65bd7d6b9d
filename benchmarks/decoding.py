"""Compare ways of decoding a JPEG to a fraction of its size: is another library's path worth having?

    python -m benchmarks.decoding

All decode the same photos to the size at which bulk scoring reads them. Times are of the processor, so other programs
disturb them little.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from benchmarks.harness.figures import Figure, by_turns, main
from benchmarks.harness.material import make_photos
from r2mrf.config import load
from r2mrf.formats import jpeg
from r2mrf.imaging import images
from r2mrf.prediction import record

SIZES = ((4000, 3000), (640, 480))  # width, height
OF_OPENCV = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
PHOTOS, REPEATS = 8, 5


def measure(short: bool) -> Iterator[Figure]:
    cv2.setNumThreads(1)
    photos, repeats = (1, 1) if short else (PHOTOS, REPEATS)
    least = record.REDUCED * load().model.input_size
    for width, height in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            make_photos(Path(folder) / "photos", photos, width, height)
            baseline = [path.read_bytes() for path in sorted((Path(folder) / "photos").iterdir())]
        factor = images.reduction(least, height, width)
        where = f"of {width}×{height}, {f'at 1/{factor}' if factor > 1 else 'whole'}"
        for kind, files in (("", baseline), ("progressive ", [_progressive(data) for data in baseline])):
            ways = {name: _of_all(way, files) for name, way in _ways(width, height, factor).items()}
            for name, seconds in by_turns(ways, repeats, clock=time.process_time).items():
                yield Figure(f"one {kind}JPEG {where}", name, "ms", [1000 * s / photos for s in seconds])


def _of_all(way: Callable[[bytes], object], files: list[bytes]) -> Callable[[], object]:
    return lambda: [way(data) for data in files]


def _ways(width: int, height: int, factor: int) -> dict[str, Callable[[bytes], object]]:
    def quick(data: bytes) -> object:
        size = {"min_height": -(-height // factor), "min_width": -(-width // factor)} if factor > 1 else {}
        return simplejpeg.decode_jpeg(data, "RGB", fastdct=True, fastupsample=True, **size)

    def pillow(data: bytes) -> None:
        with Image.open(io.BytesIO(data)) as photo:
            photo.draft("RGB", (width // factor, height // factor))
            photo.load()

    return {
        "r2mrf: libjpeg-turbo, with checks for damage": lambda data: jpeg.decode(data, "RGB", factor, height, width),
        "libjpeg-turbo, fast and inexact, without checks": quick,
        "OpenCV": lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), OF_OPENCV[factor]),
        "Pillow": pillow,
    }


def _progressive(data: bytes) -> bytes:
    made = io.BytesIO()
    with Image.open(io.BytesIO(data)) as photo:
        photo.save(made, "JPEG", quality=90, progressive=True)
    return made.getvalue()


if __name__ == "__main__":
    main(measure)
