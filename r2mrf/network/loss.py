"""The loss: cross-entropy of the fused map and of every intermediate output, summed (paper, section 3).

People who draw masks do not agree on how much blur counts as out of focus, so a part of every set of masks contradicts
the rest. Cross-entropy learns most from just these pixels. The generalised cross-entropy (Zhang and Sabuncu 2018,
"Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels"), (1 − p^q) / q for a pixel whose
label has the probability p, learns less from a pixel the less probable its label is; for q → 0 it is cross-entropy.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from r2mrf.imaging.maps import DOUBT
from r2mrf.network.model import Outputs


def certain(mask: Tensor) -> Tensor:
    """Return 1 where a mask in [0, 1] says sharp or defocused, and 0 where it says doubt; same shape."""
    return ((mask <= DOUBT[0]) | (mask >= DOUBT[1])).to(mask.dtype)


def loss_terms(
    outputs: Outputs, mask: Tensor, side_weight: float = 1.0, side_growth: float = 1.0, robustness: float = 0.0
) -> dict[str, Tensor]:
    """Return the weighted terms of the loss by name: `fused`, and `side_t` for t = 0 … T (sum over the five branches).

    Intermediate outputs are compared with the area-averaged mask on their own grid, the fused map with the full mask.

    Args:
        outputs: the network's outputs.
        mask: B×1×H×W in [0, 1], 1 = defocused.
        side_weight: weight of each branch's output at the last step; 1 in the paper.
        side_growth: ratio between the weights of a step and of the step before it; 1 in the paper.
        robustness: q of the generalised cross-entropy, 0 … 1; 0 in the paper.
    """
    weight = certain(mask)
    terms = {"fused": _cross_entropy(outputs.fused, mask, weight, robustness)}
    rows, columns = outputs.sides[0].shape[-2:]
    grid_weight = F.adaptive_avg_pool2d(weight, (rows, columns))
    grid_mask = F.adaptive_avg_pool2d(mask * weight, (rows, columns)) / grid_weight.clamp_min(1e-6)
    for t, sides in enumerate(outputs.sides):
        mean = _cross_entropy(sides, grid_mask.expand_as(sides), grid_weight, robustness)  # over branches and pixels
        weight_of_step = side_weight * side_growth ** (t - len(outputs.sides) + 1)
        terms[f"side_{t}"] = weight_of_step * sides.shape[1] * mean
    return terms


def _cross_entropy(logits: Tensor, target: Tensor, weight: Tensor, q: float) -> Tensor:
    """Average over all pixels; doubtful ones count as zero, so that a photo has the same weight in any batch."""
    loss = F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")  # −log p
    if q:
        loss = -torch.expm1(-q * loss) / q
    return (loss * weight).mean()
