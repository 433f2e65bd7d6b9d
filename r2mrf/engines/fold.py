"""Rewrites a trained network with fewer operations; its outputs change only by rounding."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from r2mrf.network.model import R2MRF, RRM, Branch


def for_inference(network: R2MRF) -> R2MRF:
    """Copy the network, with the backbone's normalisation folded into its convolutions and its `RRM`s merged."""
    network = copy.deepcopy(network).eval()
    network.backbone.fold()
    for branch in cast(list[Branch], list(network.branches)):
        branch.refine = nn.ModuleList(MergedRRM(module) for module in cast(list[RRM], list(branch.refine)))
    return network


class MergedRRM(nn.Module):
    """An `RRM` whose two convolutions of the side map are merged into one 5×5 kernel, and which avoids torch.cat.

    The side map has one channel, so the larger kernel costs next to nothing. The second pair of convolutions is not
    merged: that would take one and a half times as many multiplications.
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
        """See `RRM.context`."""
        return self.module.context(amdf)

    def forward(self, side: Tensor, context: Tensor) -> Tensor:
        """See `RRM.forward`."""
        first = F.relu(self.side(side) + context)
        return self.from_s(F.relu(self.module.s2(first))) + self.from_p(F.relu(self.module.p2(first)))
