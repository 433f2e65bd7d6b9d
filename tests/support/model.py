"""A network of a few weights, untrained."""

from pathlib import Path

import torch

from r2mrf.config import Model
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network import checkpoint
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model import R2MRF

SIDE = 64  # of the input of `decided`


def architecture(**changes) -> Model:
    """Return the smallest network that has all parts; `changes` replace its values."""
    values = {
        "backbone": "tf_efficientnet_lite0", "weights": "random", "grid_stride": 4, "amdf_width": 4, "width": 2,
        "steps": 2, "share_steps": True, "rrm": True, "fusion_relu": False, "input_size": 64,
    }  # fmt: skip
    return Model(**values | changes)


def save_tiny_model(folder: Path, seed: int = 0) -> Path:
    """Save an untrained network of a few weights as a model folder."""
    torch.manual_seed(seed)
    model = architecture()
    network = R2MRF(model)
    preprocess = Preprocess(64, network.backbone.mean, network.backbone.std)
    return checkpoint.save(folder, Checkpoint(network, model, preprocess))


def decided(**changes) -> Checkpoint:
    """Return an untrained network whose probabilities are spread over 0 … 1 instead of near 0.5."""
    torch.manual_seed(0)
    model = architecture(**{"steps": 3} | changes)
    network = R2MRF(model).eval()
    with torch.inference_mode():
        logits = network(torch.randn(4, 3, SIDE, SIDE)).fused
    with torch.no_grad():
        network.fusion.weight *= 3 / logits.std()
        network.fusion.bias -= 3 * logits.mean() / logits.std()
    return Checkpoint(network, model, Preprocess(SIDE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)), sha256="0" * 64)
