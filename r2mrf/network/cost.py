"""Counts the parameters of a network and its multiply-accumulates per photo."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from r2mrf.config import Model
from r2mrf.network.model import R2MRF


class Cost(NamedTuple):
    """`parameters` of the network; `macs`: multiply-accumulates of its convolutions and matrix products per photo."""

    parameters: int
    macs: int


def cost_of(model: Model) -> Cost:
    """Count an architecture's cost at its input size. Nothing is computed: the tensors have no memory (meta device)."""
    with torch.device("meta"):
        network = R2MRF(model.model_copy(update={"weights": "random"})).eval()
        photo = torch.zeros(1, 3, model.input_size, model.input_size)
    return Cost(parameters_of(network), macs_of(network, photo))


def parameters_of(network: nn.Module) -> int:
    """Count the parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


@torch.inference_mode()
def macs_of(network: nn.Module, x: torch.Tensor) -> int:
    """Count the multiply-accumulates of convolutions and matrix products for one input, normalised B×3×H×W."""
    with FlopCounterMode(display=False) as counter:
        network(x)
    return counter.get_total_flops() // 2
