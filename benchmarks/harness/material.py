"""Material for benchmarks, made by the project's own functions: training images, photos, a tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.harness.apart import processes
from pipelines.data.sources import open_source
from pipelines.project.samples import samples
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.data.variants import variants
from r2mrf.imaging import images
from r2mrf.imaging.resize import resize
from r2mrf.network import checkpoint
from r2mrf.network.checkpoint import untrained
from r2mrf.system.machine import cores

SHARD = 32  # pairs


def make_pairs(folder: Path, number: int, config: Config) -> list[Path]:
    """Write shards of rendered training pairs, as `prepare` does."""
    config = config.model_copy(update={"data": config.data.model_copy(update={"source": "synthetic", "train": number})})
    jobs = [(folder / f"train-{start // SHARD:05d}.parquet", config, start) for start in range(0, number, SHARD)]
    return _spread(_render, jobs)


def make_variants(folder: Path, pairs: list[Path], config: Config) -> list[Path]:
    """Write shards of training images, as `augment` does."""
    return _spread(_vary, [(folder / path.name, config, path) for path in pairs])


def _spread(work: Callable[[tuple], Path], jobs: list[tuple]) -> list[Path]:
    with processes(min(cores(), len(jobs))) as pool:
        return list(pool.map(work, jobs))


def _render(job: tuple[Path, Config, int]) -> Path:
    path, config, start = job
    cv2.setNumThreads(1)
    source = open_source(config)
    items = [item for item in source.items if item["split"] == "train"][start : start + SHARD]
    shards.write(path, map(source.row, items), shards.PAIRS, "benchmark")
    return path


def _vary(job: tuple[Path, Config, Path]) -> Path:
    path, config, pairs = job
    cv2.setNumThreads(1)
    rows = shards.read(pairs.parent, pairs.name).to_pylist()
    made = (variants(p["source_id"], p["image"], p["mask"], config.seed, config.augment) for p in rows)
    shards.write(path, (row for some in made for row in some), shards.VARIANTS, "benchmark")
    return path


def make_photos(folder: Path, number: int, width: int, height: int) -> None:
    """Write JPEGs cut from real photographs that installed packages ship, no two alike."""
    folder.mkdir(parents=True)
    found, dice = [images.load(path) for path in samples()], np.random.default_rng(0)
    for i in range(number):
        photo = found[i % len(found)]
        y, x = (int(dice.integers(0, side // 3)) for side in photo.shape[:2])
        crop = photo[y : y + 2 * photo.shape[0] // 3, x : x + 2 * photo.shape[1] // 3]
        Image.fromarray(resize(crop, height, width)).save(folder / f"{i:06d}.jpg", quality=90)


def make_model(folder: Path, config: Config, **changes: int) -> Path:
    """Write a model folder of the profile lite, with other values and random weights, and return it."""
    return checkpoint.save(folder, untrained(config.lite.model.model_copy(update=changes)))
