"""The optimiser, the learning rate schedule, and averaged weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from r2mrf.config import Train
from r2mrf.network.model import R2MRF


def make_optimizer(network: R2MRF, train: Train) -> torch.optim.Optimizer:
    """Build the optimiser: the backbone has its own rate; biases and normalisation scales have no weight decay."""
    backbone = list(network.backbone.parameters())
    head = [p for name, p in network.named_parameters() if not name.startswith("backbone.")]
    groups = []
    for parameters, rate in ((backbone, train.backbone_lr), (head, train.lr)):
        groups.append({"params": [p for p in parameters if p.ndim > 1], "lr": rate, "weight_decay": train.weight_decay})
        groups.append({"params": [p for p in parameters if p.ndim <= 1], "lr": rate, "weight_decay": 0.0})
    for group in groups:
        group["base_lr"] = group["lr"]
    if train.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9)
    return torch.optim.AdamW(groups)


def set_rate(optimizer: torch.optim.Optimizer, step: int, train: Train) -> float:
    """Set every group's learning rate for this step; return the factor of the full rate, 0 … 1."""
    factor = rate_factor(step, train)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return factor


def rate_factor(step: int, train: Train) -> float:
    """Return the factor of the learning rate at step 0 … steps−1: a linear warm-up, then a schedule down to nearly 0.

    `poly`: (1 − progress)^0.9, as in the authors' later code; `cosine`: half a cosine; `one_cycle`: `cosine`, but the
    warm-up follows half a cosine, too.
    """
    warm = round(train.warmup * train.steps)
    if step < warm:
        rise = warmed_up(step, train)
        return (1 - math.cos(math.pi * rise)) / 2 if train.schedule == "one_cycle" else rise
    progress = (step - warm) / (train.steps - warm)
    return (1 - progress) ** 0.9 if train.schedule == "poly" else (1 + math.cos(math.pi * progress)) / 2


def warmed_up(step: int, train: Train) -> float:
    """Return the share of the warm-up that is over at a step, 0 … 1."""
    return min(1.0, (step + 1) / (round(train.warmup * train.steps) + 1))


class AveragedWeights:
    """Exponential moving average of a network's parameters; with decay 0, the latest parameters.

    The decay starts at 0.1 and grows, so that the first steps are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.values = {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the parameters as they are after `step` (counted from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in network.named_parameters():
            self.values[name].lerp_(parameter.detach(), 1 - decay)
