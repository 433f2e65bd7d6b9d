"""Parameters and multiply-accumulates, against counting by hand."""

import pytest
import torch

from r2mrf.network.cost import cost_of, macs_of, parameters_of
from r2mrf.network.model import R2MRF, RRM
from tests.support.model import architecture

TINY = architecture()


def test_of_a_convolution_by_hand():
    conv = torch.nn.Conv2d(3, 8, kernel_size=5, padding=2)
    assert macs_of(conv, torch.zeros(1, 3, 10, 20)) == 10 * 20 * 8 * 3 * 25
    assert parameters_of(conv) == 8 * 3 * 25 + 8


def test_a_step_more_costs_one_refinement_a_branch():
    pixels, width = (TINY.input_size // TINY.grid_stride) ** 2, TINY.width
    side_and_paths = (9 + 25) * width + (9 + 25) * 2 * width * width + 2 * width  # A's part is computed once
    one, two = (cost_of(TINY.model_copy(update={"steps": steps})) for steps in (1, 2))
    assert two.macs - one.macs == 5 * pixels * side_and_paths
    assert two.parameters == one.parameters
    assert one.parameters - cost_of(TINY.model_copy(update={"steps": 0})).parameters == 5 * parameters_of(RRM(4, 2))


def test_without_memory_as_with_it():
    network = R2MRF(TINY).eval()
    assert cost_of(TINY) == (parameters_of(network), macs_of(network, torch.zeros(1, 3, 64, 64)))


def test_grows_with_the_pixels():
    larger = cost_of(TINY.model_copy(update={"input_size": 2 * TINY.input_size}))
    assert larger.macs == pytest.approx(4 * cost_of(TINY).macs, rel=0.02)
