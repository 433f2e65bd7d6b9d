"""The folded network gives the same output with fewer operations; the original network is unchanged."""

import pytest
import torch
from torch import nn

from r2mrf.engines.fold import for_inference
from r2mrf.network.model import FEW_CHANNELS, R2MRF
from tests.support.model import architecture

ARCHITECTURES = [
    {"steps": 0},
    {"steps": 3},
    {"steps": 2, "share_steps": False, "width": 3},
    {"steps": 2, "width": FEW_CHANNELS},
    {"steps": 2, "width": FEW_CHANNELS + 1},  # too wide to be merged
    {"steps": 2, "rrm": False, "fusion_relu": True, "grid_stride": 2},
]


def normalised(network: R2MRF) -> R2MRF:
    """Return a network with statistics that folding must take into account."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


@pytest.mark.parametrize("changes", ARCHITECTURES, ids=str)
def test_says_the_same(changes):
    torch.manual_seed(0)
    network = normalised(R2MRF(architecture(**changes)))
    x = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        expected, got = network(x), for_inference(network)(x)
    torch.testing.assert_close(got.fused, expected.fused, atol=1e-4, rtol=1e-4)
    for ours, theirs in zip(got.sides, expected.sides, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_the_network_itself_stays_as_it_is():
    network = R2MRF(architecture(steps=2)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for_inference(network)
    assert network.training
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
