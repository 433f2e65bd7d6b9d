"""The network: aggregated multi-level deep features (AMDF), five branches of recurrent residual refinement, fusion.

After Tang et al., "R2MRF: Defocus Blur Detection via Recurrently Refining Multi-Scale Residual Features",
AAAI 2020, section 3. Their code was never released; docs/method.md says which details are inferred.

    F_1 … F_5  features of the backbone; all maps live on F_1's grid (1/grid_stride of the input)
    A          = relu(W_a · Cat(F_1, Up F_2, …, Up F_5))          once per photo
    O_l^0      = Up(W_l · F_l)                                    first side map of branch l, logits
    O_l^t      = O_l^{t-1} + RRM_l^t(Cat(O_l^{t-1}, A))           t = 1 … T
    B          = W_f · Cat(O_1^T, …, O_5^T)                       P(defocus) = sigmoid(Up B)
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from r2mrf.config import Model
from r2mrf.network.backbones import Backbone

BRANCHES = 5
FEW_CHANNELS = 8  # half of the 16 numbers that a processor's vector register holds


class Outputs(NamedTuple):
    """`fused`: logits B×1×H×W at the input's size. `sides`: T+1 tensors B×5×h×w, the logits of the five branches on the
    grid after t = 0 … T steps."""

    fused: Tensor
    sides: list[Tensor]


class AMDF(nn.Module):
    """Merges the five levels into one feature map on the first level's grid.

    A 1×1 convolution and bilinear upsampling are both linear and commute. So each level is convolved at its own size
    and then enlarged, which gives the same sum as convolving the concatenation for a fraction of the work.
    """

    def __init__(self, channels: list[int], width: int):
        super().__init__()
        self.merge = nn.Conv2d(sum(channels), width, kernel_size=1)
        self.channels = channels

    def forward(self, features: list[Tensor]) -> Tensor:
        """Merge five tensors B×C_l×h_l×w_l into B×width×h_1×w_1."""
        weights = self.merge.weight.split(self.channels, dim=1)
        grid = features[0].shape[-2:]
        total = F.conv2d(features[0], weights[0], self.merge.bias)
        for feature, weight in zip(features[1:], weights[1:], strict=True):
            total = total + upsample(F.conv2d(feature, weight), grid)
        return F.relu(total)


class RRM(nn.Module):
    """Residual refinement module: a 3×3 path and a 5×5 path that exchange their features half-way.

    Its first convolutions read Cat(O, A). They are linear, so the part that reads A (`context`) can be computed
    separately; if the steps share weights, it is the same in every step.
    """

    def __init__(self, amdf_width: int, width: int):
        super().__init__()
        self.s1 = nn.Conv2d(1 + amdf_width, width, kernel_size=3, padding=1)
        self.p1 = nn.Conv2d(1 + amdf_width, width, kernel_size=5, padding=2)
        self.s2 = nn.Conv2d(2 * width, width, kernel_size=3, padding=1)
        self.p2 = nn.Conv2d(2 * width, width, kernel_size=5, padding=2)
        self.out = nn.Conv2d(2 * width, 1, kernel_size=1)

    def context(self, amdf: Tensor) -> Tensor:
        """Return the contribution of A to both first convolutions: B×C×h×w -> B×2M×h×w."""
        return self._both(self.s1, self.p1, amdf, slice(1, None))

    def forward(self, side: Tensor, context: Tensor) -> Tensor:
        """Return the refinement B×1×h×w of a side map B×1×h×w, given `context(A)`."""
        first = F.relu(self._both(self.s1, self.p1, side, slice(1)) + context)
        second = F.relu(self._both(self.s2, self.p2, first))
        return self.out(second)

    def _both(self, narrow: nn.Conv2d, wide: nn.Conv2d, x: Tensor, part: slice | None = None) -> Tensor:
        """Convolve by both paths, restricted to a part of their input channels, and concatenate the results.

        For inference, `r2mrf.engines.fold` replaces the module, so only training takes the faster way here.
        """
        if self.training and x.device.type == "cpu" and is_narrow(self):
            return F.conv2d(x, *as_one(narrow, wide, part), padding=wide.padding)
        return torch.cat(
            [F.conv2d(x, *_parameters(path, part), padding=path.padding) for path in (narrow, wide)], dim=1
        )


class Branch(nn.Module):
    """The side map of one level and its refinement over T steps."""

    def __init__(self, channels: int, model: Model):
        super().__init__()
        self.side = nn.Conv2d(channels, 1, kernel_size=1)
        self.steps, self.residual = model.recurrent_steps, model.rrm
        modules = min(self.steps, 1) if model.share_steps else self.steps
        self.refine = nn.ModuleList(RRM(model.amdf_width, model.width) for _ in range(modules))

    def forward(self, feature: Tensor, amdf: Tensor) -> list[Tensor]:
        """Return the side maps after t = 0 … T steps, each B×1×h×w, for a level B×C_l×h_l×w_l and A on the grid."""
        side = upsample(self.side(feature), amdf.shape[-2:])
        sides = [side]
        modules = cast(list[RRM], list(self.refine))
        contexts = [module.context(amdf) for module in modules]
        for step in range(self.steps):
            i = min(step, len(modules) - 1)
            refined = modules[i](side, contexts[i])
            side = side + refined if self.residual else refined
            sides.append(side)
        return sides


class R2MRF(nn.Module):
    """The complete network.

    Args:
        model: the architecture. Its `weights` are those of the backbone: `random` if a checkpoint is loaded afterwards.
    """

    def __init__(self, model: Model):
        super().__init__()
        self.backbone = Backbone(model.backbone, model.weights)
        self.pool_first_level = model.grid_stride == 4  # as in networks whose conv1 includes a max-pool
        self.amdf = AMDF(self.backbone.channels, model.amdf_width)
        self.amdf.requires_grad_(model.steps != 0)  # without steps nothing uses it, so it would get no gradient
        self.branches = nn.ModuleList(Branch(channels, model) for channels in self.backbone.channels)
        self.fusion = nn.Conv2d(BRANCHES, 1, kernel_size=1)
        self.fusion_relu = model.fusion_relu
        for parameter, value in zip(self.fusion.parameters(), (1 / BRANCHES, 0), strict=True):
            nn.init.constant_(parameter, value)  # fusion starts as the mean of the branches

    def forward(self, x: Tensor) -> Outputs:
        """Return the `Outputs` for normalised photos B×3×H×W, with H and W at least 32."""
        features = self.backbone(x)
        if self.pool_first_level:
            features[0] = F.max_pool2d(features[0], kernel_size=3, stride=2, padding=1)
        amdf = self.amdf(features)
        branches = [branch(f, amdf) for branch, f in zip(self.branches, features, strict=True)]
        sides = [torch.cat(step, dim=1) for step in zip(*branches, strict=True)]
        return Outputs(upsample(self.fuse(sides[-1]), x.shape[-2:]), sides)

    def fuse(self, sides: Tensor) -> Tensor:
        """Fuse the side maps of one step, B×5×h×w, into logits B×1×h×w."""
        fused = self.fusion(sides)
        return F.relu(fused) if self.fusion_relu else fused


def upsample(x: Tensor, size: torch.Size) -> Tensor:
    """Resize B×C×h×w to B×C×`size`, bilinear, without aligned corners."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def as_one(narrow: nn.Conv2d, wide: nn.Conv2d, part: slice | None = None) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of the 5×5 convolution that computes a 3×3 and a 5×5 one, in this order.

    Args:
        part: the input channels to which both are restricted. The bias is added once, with the part that ends with the
            last channel.
    """
    weights, biases = zip(*(_parameters(path, part) for path in (narrow, wide)), strict=True)
    return torch.cat([F.pad(weights[0], [1] * 4), weights[1]]), None if biases[0] is None else torch.cat(biases)


def is_narrow(module: RRM) -> bool:
    """Return whether a processor computes the two paths of a module faster as one convolution.

    That multiplies half as much again, but one path alone leaves half of a processor's vector registers empty.
    """
    return module.s1.out_channels <= FEW_CHANNELS


def _parameters(conv: nn.Conv2d, part: slice | None) -> tuple[Tensor, Tensor | None]:
    if part is None:
        return conv.weight, conv.bias
    return conv.weight[:, part], conv.bias if part.stop is None else None
