"""Refinement module as the paper draws it, to compare with the factored one of `r2mrf.network.model`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from r2mrf.config import Model
from r2mrf.network.model import R2MRF, RRM


class LiteralRRM(RRM):
    """Two paths over Cat(O, A), crossed once, merged by a 1×1 convolution; A is convolved again in every step."""

    def context(self, amdf: Tensor) -> Tensor:
        return amdf

    def forward(self, side: Tensor, context: Tensor) -> Tensor:
        x = torch.cat([side, context], dim=1)
        first = torch.cat([F.relu(self.s1(x)), F.relu(self.p1(x))], dim=1)
        second = torch.cat([F.relu(self.s2(first)), F.relu(self.p2(first))], dim=1)
        return self.out(second)


def literal(network: R2MRF, model: Model) -> R2MRF:
    """Return a copy of the network with the same weights, refined by `LiteralRRM`."""
    other = R2MRF(model.model_copy(update={"weights": "random"}))
    for branch in other.branches:
        branch.refine = nn.ModuleList(LiteralRRM(model.amdf_width, model.width) for _ in branch.refine)
    other.load_state_dict(network.state_dict())
    return other.train(network.training)
