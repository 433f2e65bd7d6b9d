"""Measure photos seen in windows: the full view over the size of the photo, and what `score --detail` costs.

    python -m benchmarks.view

Photos are tiled from photographs that installed packages ship, mirrored at the seams. *Deep* ones are in focus
throughout; of *shallow* ones a quarter of each side is, and the rest is blurred by 16 pixels. The engine is OpenVINO on
all cores, and on one for `--detail`.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.harness.apart import largest_memory
from benchmarks.harness.figures import Figure, by_turns, exponent, main, ratio, timed
from pipelines.project.samples import samples
from r2mrf.config import Score
from r2mrf.imaging import images
from r2mrf.prediction import without_torch
from r2mrf.prediction.analyser import Analyser, Analysis
from r2mrf.prediction.record import record
from r2mrf.prediction.views import sizes
from r2mrf.prediction.windows import count
from r2mrf.system.machine import cores

SIZES = ((1632, 1224), (4000, 3000), (6000, 4000), (8660, 5774))
LARGEST = (16_300, 10_900)  # just below what is decoded at all
SHARP = ("coffee", "china")  # samples that are in focus throughout
BLUR = 16  # pixels
REPEATS = 5


class Counting(Analyser):
    """An analyser that counts what its network sees."""

    seen = 0

    def analyse_batch(self, photos: np.ndarray) -> list[Analysis]:
        self.seen += len(photos)
        return super().analyse_batch(photos)


def measure(short: bool) -> Iterator[Figure]:
    some = ((640, 480), (900, 700)) if short else SIZES
    analyser = _analyser(cores())
    for kind, shallow in (("deep", False), ("shallow", True)):
        table, seconds = f"full view, {kind} focus", []
        for width, height in some:
            photo, analyser.seen = tiled(width, height, shallow), 0
            took = timed(functools.partial(analyser, photo, "full"))[1]
            seconds.append(took)
            name, size = f"{width * height / 1e6:.0f} megapixels", analyser.preprocess.size
            all_windows = 1 + sum(count(h, w, size) for h, w in sizes(height, width, size, "full"))
            yield Figure(table, f"{name}: time", "s", [took])
            yield Figure(table, f"{name}: windows seen", "", [analyser.seen], f"of {all_windows}")
            yield Figure(table, f"{name}: windows passed over", "%", [100 * (1 - analyser.seen / all_windows)])
            yield Figure(table, f"{name}: rate", "windows/s", [analyser.seen / took])
        areas = [width * height for width, height in some]
        yield exponent(table, "time", areas, [seconds], at_most=1.0)
    width, height = some[-1] if short else LARGEST
    with tempfile.TemporaryDirectory() as folder:  # made here: making it takes more memory than looking at it
        np.save(file := Path(folder) / "photo.npy", tiled(width, height, shallow=True))
        held = largest_memory(_full_view, file)[1]
    name = f"{width * height / 1e6:.0f} megapixels: largest memory of the process"
    yield Figure("memory", name, "MB", [held / 2**20], "as r2mrf map, by ONNX Runtime", at_most=2048)
    yield from detail(some[1], 1 if short else REPEATS)


def detail(size: tuple[int, int], repeats: int) -> Iterator[Figure]:
    """Yield the time of a photo's record with and without detail, from a JPEG in memory, on one core."""
    cv2.setNumThreads(1)
    from r2mrf.prediction.predictor import Predictor

    table, one_core = "score --detail", Predictor.load("lite", "openvino", 1)
    for kind, shallow in (("deep", False), ("shallow", True)):
        data = images.encode_jpeg(tiled(*size, shallow))
        ways: dict[str, Callable[[], object]] = {
            name: functools.partial(record, one_core, data, Score(detail=name == "with"))
            for name in ("without", "with")
        }
        seconds = by_turns(ways, repeats)
        name = f"{size[0]}×{size[1]}, {kind} focus"
        for way, times in seconds.items():
            yield Figure(table, f"{name}: {way}", "ms", [1e3 * s for s in times])
        yield ratio(table, f"{name}: with / without", seconds["with"], seconds["without"], at_most=3)


def tiled(width: int, height: int, shallow: bool) -> np.ndarray:
    """Return a photo made of samples in their own size, uint8 height×width×3."""
    photos = {path.stem: path for path in samples()}
    row = np.concatenate([images.load(photos[name])[:400, :600] for name in SHARP], axis=1)
    tile = np.concatenate([row, row[:, ::-1]], axis=1)
    tile = np.concatenate([tile, tile[::-1]], axis=0)
    blurred = cv2.GaussianBlur(np.tile(tile, (3, 3, 1)), (0, 0), BLUR / 2)[len(tile) : 2 * len(tile)]
    blurred = blurred[:, tile.shape[1] : 2 * tile.shape[1]]
    times = -(-height // tile.shape[0]), -(-width // tile.shape[1]), 1
    photo = np.tile(blurred if shallow else tile, times)[:height, :width].copy()
    if shallow:
        rows, columns = slice(height * 3 // 8, height * 5 // 8), slice(width * 3 // 8, width * 5 // 8)
        photo[rows, columns] = np.tile(tile, times)[rows, columns]
    return photo


def _analyser(threads: int) -> Counting:
    from r2mrf.prediction.predictor import Predictor  # imports torch, whose memory `r2mrf map` does not take

    released = Predictor.load("lite", "openvino", threads)
    return Counting(released.preprocess, released.engine, released.blur_scale)


def _full_view(file: Path) -> None:
    """Look at a photo, uint8 H×W×3 in a file, as `r2mrf map --view full` does."""
    analyser = without_torch.load("lite")
    assert analyser is not None
    analyser(np.load(file), "full")


if __name__ == "__main__":
    main(measure)
