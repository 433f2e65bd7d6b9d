"""A tiny model, photos for it, and a disk that they do not fit on."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from r2mrf import checkpoint
from r2mrf.checkpoint import Checkpoint
from r2mrf.config import Model
from r2mrf.model import R2MRF
from r2mrf.preprocess import Preprocess


def architecture(**changes) -> Model:
    """A network of a few weights, untrained."""
    values = {
        "backbone": "tf_efficientnet_lite0", "weights": "random", "grid_stride": 4, "amdf_width": 4, "width": 2,
        "steps": 2, "share_steps": True, "rrm": True, "fusion_relu": False, "input_size": 64,
    }  # fmt: skip
    return Model(**values | changes)


def save_tiny_model(folder: Path, seed: int = 0) -> Path:
    """An untrained network of a few weights, as a model folder."""
    torch.manual_seed(seed)
    model = architecture()
    network = R2MRF(model)
    preprocess = Preprocess(64, network.backbone.mean, network.backbone.std)
    return checkpoint.save(folder, Checkpoint(network, model, preprocess))


def save_photo(path: Path, size: tuple[int, int] = (60, 80), seed: int = 0, turn: int = 1) -> Path:
    """Noise of (height, width); `turn`: EXIF orientation, 6 = shown turned by 90°."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = turn
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@contextmanager
def tiny_disk(largest: int = 100_000) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
