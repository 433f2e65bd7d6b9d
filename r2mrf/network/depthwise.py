"""Depthwise convolution for training on processors: torch's gradients, computed several times faster.

oneDNN, with which torch convolves on processors, has no fast kernels for two gradients that EfficientNet needs: that of
weights larger than 3×3, and in bfloat16 that of the input at stride 2. With them, a third of a training step was lost.
Here, both are composed of convolutions that are fast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

FAST = 3  # side of the largest kernels whose gradient is fast


def depthwise(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Convolve every channel with its own kernel, as `F.conv2d` with as many groups as channels does.

    Args:
        x: B×C×H×W.
        weight: C×1×k×k, k odd.
        stride: 1 or 2.
        padding: zeros on each side.
    """
    if x.device.type != "cpu":
        return F.conv2d(x, weight, None, stride, padding, groups=len(weight))
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight = x.to(dtype), weight.to(dtype)
    return _Depthwise.apply(x, weight, stride, padding)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), stride, padding = ctx.saved_tensors, ctx.stride, ctx.padding
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_x, of_weight, *_ = ctx.needs_input_grad
        return (
            _gradient_of_input(gradient, x, weight, stride, padding) if of_x else None,
            _gradient_of_weight(gradient, x, weight, stride, padding) if of_weight else None,
            None,
            None,
        )


def _gradient_of_input(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Convolve the gradient, at stride 2 with zeros between its pixels, with the mirrored kernels."""
    if stride == 2:
        gradient = _with_zeros_between(gradient)
    around = weight.shape[-1] - 1 - padding
    whole = F.conv2d(gradient, weight.flip(2, 3), None, padding=around, groups=len(weight))
    return whole[..., : x.shape[2], : x.shape[3]]


def _with_zeros_between(x: Tensor) -> Tensor:
    """Return B×C×2h×2w that has B×C×h×w in its even rows and columns; both are channels-last, so this copies fast."""
    batch, channels, height, width = x.shape
    spread = x.new_zeros(batch, height, 2, width, 2 * channels)
    spread[:, :, 0, :, :channels] = x.permute(0, 2, 3, 1)
    return spread.view(batch, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


def _gradient_of_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Put the gradient of a large kernel together from those of the 3×3 kernels in its corners (and between them)."""
    size = weight.shape[-1]
    if size <= FAST:
        return _gradient_of_kernel(gradient, x, weight, stride, padding)
    x = F.pad(x, [padding] * 4)
    rows, columns = (stride * (n - 1) + FAST for n in gradient.shape[-2:])
    corner, whole = weight[..., :FAST, :FAST], torch.empty_like(weight)
    starts = [*range(0, size - FAST, FAST), size - FAST]
    for top in starts:
        for left in starts:
            seen = x[..., top : top + rows, left : left + columns].contiguous(memory_format=torch.channels_last)
            whole[..., top : top + FAST, left : left + FAST] = _gradient_of_kernel(gradient, seen, corner, stride, 0)
    return whole


def _gradient_of_kernel(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Return torch's gradient of the weight. It does not depend on the weight's values, only on its shape."""
    both, none, mask = [1, 1], [0, 0], [False, True, False]
    arguments = [stride] * 2, [padding] * 2, both, False, none, len(weight), mask
    return torch.ops.aten.convolution_backward(gradient, x, weight, None, *arguments)[1]
