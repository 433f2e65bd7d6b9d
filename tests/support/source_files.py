"""A data set of sharp photos on disk, the configuration that reads it, and the rows that come of it."""

from pathlib import Path

import cv2
import numpy as np

from pipelines.data.sources import Source
from r2mrf import config
from r2mrf.config import Config
from r2mrf.imaging import images

SIDE = 96
PARAMS = Path(__file__).parents[2] / "params.yaml"


def given(source: str, root: Path, **changes) -> Config:
    """Return the project's configuration with a few small pairs of a source in `root`."""
    of_the_project = config.load(PARAMS)
    data = {"source": source, "root": str(root), "size": 64, "train": 6, "test": 3} | changes
    return of_the_project.model_copy(update={"data": of_the_project.data.model_copy(update=data)})


def texture(seed: int) -> np.ndarray:
    """Return a sharp texture, noise of several scales, uint8 SIDE×SIDE×3."""
    rng = np.random.default_rng(seed)
    field = np.full((SIDE, SIDE), 120, np.float32)
    for scale in (1, 2, 4):
        noise = rng.standard_normal((SIDE // scale + 1, SIDE // scale + 1), np.float32)
        field += 15 * cv2.resize(noise, (SIDE, SIDE))
    return np.repeat(field.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def write(path: Path, pixels: np.ndarray) -> Path:
    """Save pixels as a PNG and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(pixels))
    return path


def rows(source: Source) -> list[dict]:
    """Return all rows that a source makes."""
    return [source.row(item) for item in source.items]
