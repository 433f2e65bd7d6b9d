"""EfficientNet-Lite0, -Lite1 and -Lite2 without their classifiers: the five feature levels of the lite backbone.

The networks of https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite, with the layer names of
timm's `tf_efficientnet_lite0` and so on, so that the same weights fit both. They are written out here because importing
timm takes longer than running the network on a photo. tests/model/test_efficientnet_lite.py compares them with timm's.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from r2mrf.network.depthwise import depthwise

FACTORS = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2))  # of channels and blocks of Lite0, Lite1 and Lite2, over those of Lite0
STEM = 32

# of Lite0: number of blocks, kernel, stride, expansion, channels, and whether a level ends after the stage
STAGES = (
    (1, 3, 1, 1, 16, True),
    (2, 3, 2, 6, 24, True),
    (2, 5, 2, 6, 40, True),
    (3, 3, 2, 6, 80, False),
    (3, 5, 1, 6, 112, True),
    (4, 5, 2, 6, 192, False),
    (1, 3, 1, 6, 320, True),
)


class Same(nn.Conv2d):
    """A convolution without bias, padded like TensorFlow's: to ceil(n / stride); an odd row of zeros is at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        nn.init.normal_(self.weight, 0, math.sqrt(2 * groups / (kernel * kernel * outputs)))

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            height, width, after = *x.shape[-2:], self.kernel_size[0] // 2
            x = F.pad(x, (after - 1 + width % 2, after, after - 1 + height % 2, after))
        if self.training and self.groups > 1 and self.bias is None:  # a bias means that the network is folded
            return depthwise(x, self.weight, self.stride[0], int(self.padding[0]))
        return super().forward(x)


class Norm(nn.BatchNorm2d):
    """Batch normalisation with TensorFlow's epsilon, optionally followed by ReLU6."""

    def __init__(self, channels: int, act: bool = True):
        super().__init__(channels, eps=1e-3)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return F.relu6(x, inplace=True) if self.act else x


class Separable(nn.Module):
    """Depthwise, then pointwise convolution: the block of the first stage."""

    def __init__(self, inputs: int, outputs: int, kernel: int):
        super().__init__()
        self.conv_dw, self.bn1 = Same(inputs, inputs, kernel, groups=inputs), Norm(inputs)
        self.conv_pw, self.bn2 = Same(inputs, outputs, 1), Norm(outputs, act=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv_pw(self.bn1(self.conv_dw(x))))


class Inverted(nn.Module):
    """Expansion, depthwise convolution, projection; with a shortcut if the shape does not change."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = expansion * inputs
        self.conv_pw, self.bn1 = Same(inputs, inner, 1), Norm(inner)
        self.conv_dw, self.bn2 = Same(inner, inner, kernel, stride, groups=inner), Norm(inner)
        self.conv_pwl, self.bn3 = Same(inner, outputs, 1), Norm(outputs, act=False)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        projected = self.bn3(self.conv_pwl(self.bn2(self.conv_dw(self.bn1(self.conv_pw(x))))))
        return x + projected if self.shortcut else projected


class Lite(nn.Module):
    """Maps normalised B×3×H×W to five levels B×C×⌈H/s⌉×⌈W/s⌉ for s = 2, 4, 8, 16, 32.

    Args:
        size: 0, 1 or 2, for EfficientNet-Lite0, -Lite1 or -Lite2.

    Attributes:
        channels: number of channels of each of the five levels.
    """

    def __init__(self, size: int):
        super().__init__()
        wider, deeper = FACTORS[size]
        self.conv_stem, self.bn1 = Same(3, STEM, 3, stride=2), Norm(STEM)
        self.channels = [_wider(channels, wider) for *_, channels, is_level in STAGES if is_level]
        stages, before = [], STEM
        for place, (number, kernel, stride, expansion, narrow, _) in enumerate(STAGES):
            grows = 0 < place < len(STAGES) - 1  # the first and the last stage have one block in every size
            channels = _wider(narrow, wider)
            blocks: list[nn.Module] = []
            for i in range(math.ceil(number * deeper) if grows else number):
                if expansion == 1:
                    blocks.append(Separable(before, channels, kernel))
                else:
                    blocks.append(Inverted(before, channels, kernel, 1 if i else stride, expansion))
                before = channels
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x, levels = self.bn1(self.conv_stem(x)), []
        for stage, (*_, is_level) in zip(self.blocks, STAGES, strict=True):
            x = stage(x)
            if is_level:
                levels.append(x)
        return levels

    def fold(self) -> None:
        """Fold each normalisation into the convolution before it. The levels change only by rounding.

        This is for evaluation mode only and cannot be undone: a folded network cannot be trained, and its parameters
        have other names.
        """
        for parent in list(self.modules()):
            for (name, convolution), (after, norm) in pairwise(list(parent.named_children())):
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, Norm):
                    setattr(parent, name, fuse_conv_bn_eval(convolution, norm))
                    setattr(parent, after, nn.ReLU6(inplace=True) if norm.act else nn.Identity())


def _wider(channels: int, factor: float) -> int:
    """Return the multiple of 8 that is nearest to channels × factor."""
    return 8 * math.floor(channels * factor / 8 + 0.5)
