"""Rewrites a trained network so that it runs faster; its outputs change only by rounding."""

from __future__ import annotations

import copy
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from r2mrf.network.model import R2MRF, RRM, Branch, as_one, is_narrow


def for_inference(network: R2MRF) -> R2MRF:
    """Copy the network, with the backbone's normalisation folded into its convolutions and narrow `RRM`s merged."""
    network = copy.deepcopy(network).eval()
    network.backbone.fold()
    for branch in cast(list[Branch], list(network.branches)):
        modules = cast(list[RRM], list(branch.refine))
        branch.refine = nn.ModuleList(MergedRRM(module) if is_narrow(module) else module for module in modules)
    return network


class MergedRRM(nn.Module):
    """An `RRM` whose two paths are computed as one, by 5×5 convolutions."""

    def __init__(self, module: RRM):
        super().__init__()
        self.of_amdf = _convolution(*as_one(module.s1, module.p1, slice(1, None)))
        self.of_side = _convolution(*as_one(module.s1, module.p1, slice(1)))
        self.second = _convolution(*as_one(module.s2, module.p2))
        self.out = module.out

    def context(self, amdf: Tensor) -> Tensor:
        """See `RRM.context`."""
        return self.of_amdf(amdf)

    def forward(self, side: Tensor, context: Tensor) -> Tensor:
        """See `RRM.forward`."""
        return self.out(F.relu(self.second(F.relu(self.of_side(side) + context))))


def _convolution(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """Build a convolution that keeps the size of its input."""
    outputs, inputs, size, _ = weight.shape
    made = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias is not None)
    made.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return made
