"""The same network with fewer operations, for use after training: what it says differs by rounding alone."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from r2mrf.network.model import R2MRF, RRM, Branch


def for_inference(network: R2MRF) -> R2MRF:
    """A copy whose backbone's normalisation is folded, and whose refinement modules are `MergedRRM`s."""
    network = copy.deepcopy(network).eval()
    network.backbone.fold()
    for branch in cast(list[Branch], list(network.branches)):
        branch.refine = nn.ModuleList(MergedRRM(module) for module in cast(list[RRM], list(branch.refine)))
    return network


class MergedRRM(nn.Module):
    """An `RRM` of which one convolution, 5×5, reads the side map, and which puts nothing side by side.

    Of one channel the larger kernel costs next to nothing. The second convolutions stay two: merged, they would
    multiply half as much again.
    """

    def __init__(self, module: RRM):
        super().__init__()
        width = module.s1.out_channels
        self.module = module
        self.side = nn.Conv2d(1, 2 * width, kernel_size=5, padding=2, bias=False)
        self.from_s, self.from_p = nn.Conv2d(width, 1, kernel_size=1), nn.Conv2d(width, 1, kernel_size=1, bias=False)
        kernels = F.pad(module.s1.weight[:, :1], (1, 1, 1, 1)), module.p1.weight[:, :1]
        self.side.load_state_dict({"weight": torch.cat(kernels)})
        of_s, of_p = module.out.weight.split(width, dim=1)
        self.from_s.load_state_dict({"weight": of_s, "bias": module.out.bias})
        self.from_p.load_state_dict({"weight": of_p})

    def context(self, amdf: Tensor) -> Tensor:
        """As `RRM.context`."""
        return self.module.context(amdf)

    def forward(self, side: Tensor, context: Tensor) -> Tensor:
        """As `RRM.forward`."""
        first = F.relu(self.side(side) + context)
        return self.from_s(F.relu(self.module.s2(first))) + self.from_p(F.relu(self.module.p2(first)))
