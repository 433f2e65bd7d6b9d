"""Depthwise convolution for training on processors: torch's gradients, in bfloat16 computed several times faster.

oneDNN, with which torch convolves on processors, computes two gradients of EfficientNet slowly: those of weights larger
than 3×3, and in bfloat16 those of the input at stride 2. They took a third of a training step. Here both are composed
of convolutions that are fast.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

FAST = 3  # side of the largest kernels whose gradient is fast


def depthwise(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Return each channel convolved with its own kernel, B×C×H'×W', as `F.conv2d` with C groups returns it.

    Args:
        x: B×C×H×W.
        weight: C×1×k×k.
        stride: 1 or 2.
        padding: zeros on each side, at most k − 1.
    """
    if x.device.type != "cpu":
        return F.conv2d(x, weight, None, stride, padding, groups=len(weight))
    return _Depthwise.apply(*_autocast(x, weight), stride, padding)


def _autocast(*tensors: Tensor) -> list[Tensor]:
    """Convert tensors as autocast does before a convolution."""
    if not torch.is_autocast_enabled("cpu"):
        return list(tensors)
    dtype = torch.get_autocast_dtype("cpu")
    return [x if x.dtype == torch.float64 else x.to(dtype) for x in tensors]


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
    if stride == 2 and x.dtype == torch.float32:  # here torch is fast, and convolving the zeros would take longer
        return _of_torch(gradient, x, weight, stride, padding, "input")
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
    """Put the gradient of a large kernel together from those of 3×3 kernels that cover it; where they overlap, all give
    the same values."""
    size = weight.shape[-1]
    if size <= FAST:
        return _of_torch(gradient, x, weight, stride, padding, "weight")
    x = F.pad(x, [padding] * 4)
    rows, columns = (stride * (n - 1) + FAST for n in gradient.shape[-2:])
    corner, whole = weight[..., :FAST, :FAST], torch.empty_like(weight)
    starts = [*range(0, size - FAST, FAST), size - FAST]
    for top in starts:
        for left in starts:
            seen = x[..., top : top + rows, left : left + columns].contiguous(memory_format=torch.channels_last)
            part = _of_torch(gradient, seen, corner, stride, 0, "weight")  # the values of `corner` do not matter
            whole[..., top : top + FAST, left : left + FAST] = part
    return whole


def _of_torch(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, wanted: Literal["input", "weight"]
) -> Tensor:
    """Return one of torch's own gradients."""
    dilation, transposed, output_padding = [1, 1], False, [0, 0]
    which = [wanted == "input", wanted == "weight", False]
    options = [stride] * 2, [padding] * 2, dilation, transposed, output_padding, len(weight), which
    return torch.ops.aten.convolution_backward(gradient, x, weight, None, *options)[wanted == "weight"]
