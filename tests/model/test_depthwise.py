"""The depthwise convolution for training is torch's, gradients included, for all kernels, strides and odd sizes."""

import pytest
import torch
from torch.nn import functional as F

from r2mrf.network.depthwise import depthwise


def gradients(convolve, x, weight, stride, padding, weights_of_output) -> tuple[torch.Tensor, ...]:
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    output = convolve(x, weight, stride, padding)
    (output * weights_of_output).sum().backward()
    return output.detach(), x.grad, weight.grad


def of_torch(x, weight, stride, padding) -> torch.Tensor:
    return F.conv2d(x, weight, None, stride, padding, groups=len(weight))


def case(kernel, stride, padding, height, width, dtype):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, height, width, dtype=dtype), torch.randn(3, 1, kernel, kernel, dtype=dtype)
    return x, weight, stride, padding, torch.randn_like(of_torch(x, weight, stride, padding))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(("height", "width"), [(12, 9), (11, 14), (7, 7)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kernel", "padding"), [(1, 0), (3, 0), (3, 1), (5, 0), (5, 2), (7, 0), (7, 1), (7, 3)])
def test_gradients_are_those_of_torch(kernel, padding, stride, height, width, channels_last, dtype):
    x, *rest = case(kernel, stride, padding, height, width, dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    allowed = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {}
    torch.testing.assert_close(gradients(depthwise, x, *rest), gradients(of_torch, x, *rest), **allowed)


@pytest.mark.parametrize("stride", [1, 2])
def test_autocast_computes_in_bfloat16_and_gives_gradients_in_the_parameters_type(stride):
    given = case(5, stride, 2, 12, 9, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        output, of_x, of_weight = gradients(depthwise, *given)
    assert output.dtype == torch.bfloat16
    expected = gradients(of_torch, *given)
    for ours, theirs in zip((output.float(), of_x, of_weight), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.03, atol=0.03 * float(theirs.abs().max()))


def test_only_what_needs_a_gradient_gets_one():
    x, weight, stride, padding, seen = case(5, 2, 2, 12, 9, torch.float64)
    _, of_x, of_weight = gradients(of_torch, x, weight, stride, padding, seen)
    for wanted, other, expected in ((x.clone(), weight, of_x), (weight.clone(), x, of_weight)):
        given = (wanted.requires_grad_(), other) if wanted.shape == x.shape else (other, wanted.requires_grad_())
        (depthwise(*given, stride, padding) * seen).sum().backward()
        torch.testing.assert_close(wanted.grad, expected)
        assert other.grad is None
