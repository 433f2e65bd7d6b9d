"""Training images whose answers are known, and a search for T whose result is known in advance."""

from pathlib import Path

import numpy as np
import yaml

from r2mrf.config import Augment, Config
from r2mrf.data import shards
from r2mrf.data.batches import split
from r2mrf.data.variants import variants
from r2mrf.evaluation.metrics import HALF, f_at
from r2mrf.imaging import images
from r2mrf.training.trainer import Trainer, validate
from tests.support.workspace import Workspace

# Nothing is learnt: rates are 0. With this seed the first, random refinement makes maps better for four steps, and
# worse after.
PLANTED = {
    "seed": 147,
    "lite": {"train": {"lr": 0.0, "backbone_lr": 0.0, "ema": 0.0}},
    "tune": {"steps": [2, 4, 8], "budget": 3, "grace": 3, "crop": 48, "validation": 2, "report_every": 1},
}
BEST = 4


def training_images(folder: Path) -> None:
    """Four sources and their variants: noise, blurred in one half."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for source in range(4):
        photo = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        photo[:, :32] = photo[:, :32].mean((0, 1))
        mask = np.zeros((64, 64), np.uint8)
        mask[:, :32] = 255
        options = Augment(variants=4, max_rotation=5, min_scale=0.9)
        rows += variants(f"source-{source}", images.encode_jpeg(photo), images.encode_png(mask), 0, options)
    shards.write(folder / "train-00000.parquet", rows, shards.VARIANTS, "made by a test")


def plant(space: Workspace) -> None:
    """Put the images and the search into a workspace."""
    training_images(space.root / "data/augmented")
    space.set(PLANTED)


def plain_figures(space: Workspace) -> dict[int, float]:
    """Return F at 0.5 on the held-back photos by T, computed in a plain loop: no Ray, no training."""
    config = Config.model_validate(yaml.safe_load((space.root / "params.yaml").read_text()))
    _, held_back = split(shards.read(space.root / "data/augmented"), config.tune.validation, config.seed)
    figures = {}
    for steps in config.tune.steps:
        trainer = Trainer(config.but(model={"steps": steps}), "of a test")
        counts = validate(
            trainer.averaged_network(), held_back, range(held_back.num_rows), trainer.preprocess, config.train.precision
        )
        figures[steps] = float(np.mean([f_at(c, HALF) for c in counts]))
    return figures
