"""A network of a few weights, untrained."""

from pathlib import Path

import torch

from r2mrf.config import Model
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network import checkpoint
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model import R2MRF


def architecture(**changes) -> Model:
    """The smallest network that has all parts; `changes` replace its values."""
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
