"""The loss: cross-entropy of the fused map and of every intermediate output, summed (paper, section 3)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from r2mrf.imaging.maps import DOUBT
from r2mrf.network.model import Outputs


def certain(mask: Tensor) -> Tensor:
    """Return 1 where a mask in [0, 1] says sharp or defocused, and 0 where it says doubt; same shape."""
    return ((mask <= DOUBT[0]) | (mask >= DOUBT[1])).to(mask.dtype)


def loss_terms(outputs: Outputs, mask: Tensor, side_weight: float = 1.0, side_growth: float = 1.0) -> dict[str, Tensor]:
    """Return the weighted terms of the loss by name: `fused`, and `side_t` for t = 0 … T (sum over the five branches).

    Intermediate outputs are compared with the area-averaged mask on their own grid, the fused map with the full mask.

    Args:
        outputs: the network's outputs.
        mask: B×1×H×W in [0, 1], 1 = defocused.
        side_weight: weight of each branch's output at the last step; 1 in the paper.
        side_growth: ratio between the weights of a step and of the step before it; 1 in the paper.
    """
    weight = certain(mask)
    terms = {"fused": _cross_entropy(outputs.fused, mask, weight)}
    rows, columns = outputs.sides[0].shape[-2:]
    grid_weight = F.adaptive_avg_pool2d(weight, (rows, columns))
    grid_mask = F.adaptive_avg_pool2d(mask * weight, (rows, columns)) / grid_weight.clamp_min(1e-6)
    for t, sides in enumerate(outputs.sides):
        each = _cross_entropy(sides, grid_mask.expand_as(sides), grid_weight)  # mean over branches and pixels
        weight_of_step = side_weight * side_growth ** (t - len(outputs.sides) + 1)
        terms[f"side_{t}"] = weight_of_step * sides.shape[1] * each
    return terms


def _cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Average over all pixels; doubtful ones count as zero, so that a photo has the same weight in any batch."""
    return F.binary_cross_entropy_with_logits(logits.float(), target, weight=weight)
