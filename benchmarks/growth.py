"""Measure how time and memory of one photo grow with the number of recurrent steps T and with the size of the photo.

    python -m benchmarks.growth

The cases take turns in one process, with torch on all cores; memory is the peak of a separate process for each case.
`benchmarks.memory` and `benchmarks.manifest` measure what grows with the size of a library.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import torch

from benchmarks.harness.apart import largest_memory
from benchmarks.harness.figures import Figure, by_turns, exponent, main
from pipelines.project.samples import samples
from r2mrf.config import load
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.imaging.resize import resize
from r2mrf.network.checkpoint import untrained
from r2mrf.prediction.predictor import Predictor
from r2mrf.system.machine import cores

STEPS = range(9)
SIZES = ((320, 320), (640, 480), (1632, 1224), (4000, 3000), (6000, 4000))
REPEATS = 5
Maker = Callable[[], Callable[[], object]]


def measure(short: bool) -> Iterator[Figure]:
    torch.set_num_threads(1 if short else cores())
    repeats = 1 if short else REPEATS
    steps, sizes = (STEPS[1:3], SIZES[:2]) if short else (STEPS, SIZES)
    networks = {f"T = {t}": (t, functools.partial(network, t, short)) for t in steps}
    yield from _over("recurrent steps", networks, repeats)
    photos = {f"{w}×{h}": (w * h, functools.partial(photo, w, h)) for w, h in sizes}
    yield from _over("size of the photo", photos, repeats)


def _over(table: str, cases: dict[str, tuple[int, Maker]], repeats: int) -> Iterator[Figure]:
    """Yield time and memory of `cases` (name -> size, maker of the function to time); exponents leave out size 0."""
    seconds = by_turns({name: make() for name, (_, make) in cases.items()}, repeats)
    memory = {name: largest_memory(_once, make)[1] for name, (_, make) in cases.items()}
    for name in cases:
        yield Figure(table, f"{name}: time", "ms", [1e3 * s for s in seconds[name]])
        yield Figure(table, f"{name}: largest memory of the process", "MB", [memory[name] / 2**20])
    sized = [name for name, (size, _) in cases.items() if size]
    sizes = [cases[name][0] for name in sized]
    yield exponent(table, "time", sizes, zip(*(seconds[name] for name in sized), strict=True), at_most=1.0)
    yield exponent(table, "memory", sizes, [[memory[name] for name in sized]], at_most=1.0)


def _once(make: Maker) -> None:
    torch.set_num_threads(1)
    make()()


def network(steps: int, short: bool) -> Callable[[], object]:
    """Return a function that runs the profile lite with T steps."""
    size = 64 if short else 320
    predictor = Predictor(untrained(load().lite.model.model_copy(update={"steps": steps, "input_size": size})))
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    return lambda: predictor.analyse_batch(pixels)


def photo(width: int, height: int) -> Callable[[], object]:
    """Return a function that turns a JPEG of this size into its map as PNG, with torch."""
    predictor = Predictor.load("lite")
    data = images.encode_jpeg(resize(images.load(samples()[0]), height, width))
    return lambda: images.encode_png(to_uint8(predictor(images.decode(data))))


if __name__ == "__main__":
    main(measure)
