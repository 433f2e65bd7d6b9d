"""The network: its shapes for every T and backbone, its parts against their literal forms, its switches."""

import re

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.harness.literal import LiteralRRM
from r2mrf.config import Model
from r2mrf.network.backbones import TESTED
from r2mrf.network.loss import loss_terms
from r2mrf.network.model import AMDF, FEW_CHANNELS, R2MRF, RRM, Branch, Outputs
from tests.support import model as tiny


def architecture(**changes) -> Model:
    return tiny.architecture(**{"amdf_width": 6, "width": 3} | changes)


def network(**changes) -> R2MRF:
    return R2MRF(architecture(**changes)).eval()


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def assert_outputs_close(got: Outputs, expected: Outputs, **tolerance):
    torch.testing.assert_close(got.fused, expected.fused, **tolerance)
    torch.testing.assert_close(got.sides, expected.sides, **tolerance)


# --- shapes ----------------------------------------------------------------------------------------------


EVERY_CASE = [(name, steps, True) for name in TESTED for steps in range(9)]
EVERY_CASE += [("tf_efficientnet_lite0", steps, False) for steps in range(9)]


@pytest.mark.parametrize(("backbone", "steps", "share_steps"), EVERY_CASE)
def test_shapes_for_every_backbone_and_number_of_steps(backbone, steps, share_steps):
    with torch.device("meta"):  # shapes only: nothing is allocated or computed
        net = network(backbone=backbone, steps=steps, share_steps=share_steps)
        fused, sides = net(torch.empty(2, 3, 64, 96))
    assert fused.shape == (2, 1, 64, 96)
    assert [tuple(side.shape) for side in sides] == [(2, 5, 16, 24)] * (steps + 1)


@torch.inference_mode()
@pytest.mark.parametrize("backbone", TESTED)
def test_numbers_of_every_backbone(backbone):
    torch.manual_seed(0)
    fused, sides = network(backbone=backbone, amdf_width=2, width=1)(torch.randn(1, 3, 64, 64))
    assert fused.isfinite().all()
    assert all(side.isfinite().all() and side.std() > 0 for side in sides)


@torch.inference_mode()
@pytest.mark.parametrize(("stride", "grid"), [(2, (33, 49)), (4, (17, 25))])
def test_odd_sizes_and_grid_stride(stride, grid):
    fused, sides = network(grid_stride=stride)(torch.randn(1, 3, 65, 97))
    assert fused.shape == (1, 1, 65, 97)
    assert {tuple(side.shape[-2:]) for side in sides} == {grid}


def test_odd_sizes_where_the_backbone_rounds_down():
    with torch.device("meta"):
        fused, sides = network(backbone="vgg16")(torch.empty(1, 3, 65, 37))
    assert fused.shape[-2:] == (65, 37)
    assert {tuple(side.shape[-2:]) for side in sides} == {(16, 9)}  # 65 → 32 → 16, 37 → 18 → 9


# --- parts against their literal forms -------------------------------------------------------------------


def grown(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


@torch.inference_mode()
def test_amdf_is_a_convolution_of_the_concatenation():
    channels = [4, 7, 5, 6, 3]
    amdf = AMDF(channels, width=8)
    features = [torch.randn(2, c, 16 // 2**i, 24 // 2**i) for i, c in enumerate(channels)]
    literal = F.relu(amdf.merge(torch.cat([grown(f, features[0]) for f in features], dim=1)))
    torch.testing.assert_close(amdf(features), literal)


def literal_rrm(rrm: RRM, side: Tensor, amdf: Tensor) -> Tensor:
    """Compute the module as the paper draws it, with the same weights."""
    return LiteralRRM.forward(rrm, side, amdf)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("width", [4, FEW_CHANNELS + 1])
def test_rrm_with_its_context_apart_is_the_literal_one(width, training):
    rrm = RRM(amdf_width=6, width=width).train(training)
    side, amdf = torch.randn(2, 1, 9, 13, requires_grad=True), torch.randn(2, 6, 9, 13, requires_grad=True)
    given = [side, amdf, *rrm.parameters()]
    ours, literal = rrm(side, rrm.context(amdf)), literal_rrm(rrm, side, amdf)
    torch.testing.assert_close(ours, literal)
    torch.testing.assert_close(*(torch.autograd.grad(output.square().sum(), given) for output in (ours, literal)))


@torch.inference_mode()
@pytest.mark.parametrize("share_steps", [True, False])
@pytest.mark.parametrize("residual", [True, False])
def test_branch_is_the_literal_recurrence(share_steps, residual):
    branch = Branch(10, architecture(steps=3, share_steps=share_steps, rrm=residual))
    feature, amdf = torch.randn(2, 10, 4, 5), torch.randn(2, 6, 16, 20)
    side = grown(branch.side(feature), amdf)
    literal = [side]
    for t in range(3):
        refined = literal_rrm(branch.refine[0 if share_steps else t], side, amdf)
        side = side + refined if residual else refined
        literal.append(side)
    torch.testing.assert_close(branch(feature, amdf), literal)


@torch.inference_mode()
def test_whole_network_is_the_formulas():
    net, x = network(steps=2), torch.randn(1, 3, 64, 64)
    features = net.backbone(x)
    features[0] = F.max_pool2d(features[0], 3, stride=2, padding=1)
    amdf = F.relu(net.amdf.merge(torch.cat([grown(f, features[0]) for f in features], dim=1)))
    sides = []
    for branch, feature in zip(net.branches, features, strict=True):
        side = grown(branch.side(feature), amdf)
        for _ in range(2):
            side = side + literal_rrm(branch.refine[0], side, amdf)
        sides.append(side)
    literal = grown(net.fusion(torch.cat(sides, dim=1)), x)
    torch.testing.assert_close(net(x).fused, literal, rtol=1e-4, atol=1e-4)


# --- switches --------------------------------------------------------------------------------------------


def test_steps_share_one_module_or_have_one_each():
    # s1 and p1 read 1 + 6 channels, s2 and p2 6, each gives 3; out is 6 -> 1
    one = 3 * 7 * (9 + 25) + 6 + 3 * 6 * (9 + 25) + 6 + 7
    assert parameters(RRM(6, 3)) == one
    bare = parameters(network(steps=0))
    for steps in (1, 4):
        assert parameters(network(steps=steps)) == bare + 5 * one
        assert parameters(network(steps=steps, share_steps=False)) == bare + 5 * one * steps


@torch.inference_mode()
def test_unshared_steps_with_shared_weights_are_the_shared_ones():
    shared, unshared = network(steps=3), network(steps=3, share_steps=False)
    source = shared.state_dict()
    unshared.load_state_dict({key: source[re.sub(r"refine\.\d", "refine.0", key)] for key in unshared.state_dict()})
    x = torch.randn(1, 3, 64, 64)
    assert_outputs_close(unshared(x), shared(x))


@torch.inference_mode()
@pytest.mark.parametrize("share_steps", [True, False])
def test_modules_that_refine_nothing(share_steps):
    x = torch.randn(1, 3, 64, 64)
    for residual in (True, False):
        net = network(rrm=residual, share_steps=share_steps)
        for branch in net.branches:
            for refine in branch.refine:
                refine.out.weight.zero_()
                refine.out.bias.zero_()
        sides = net(x).sides
        for t in (1, 2):  # with residual learning the first side map stays, without it nothing is left of it
            torch.testing.assert_close(sides[t], sides[0] if residual else torch.zeros_like(sides[0]))


@torch.inference_mode()
def test_no_steps_fuse_the_first_side_maps():
    net, x = network(steps=0), torch.randn(1, 3, 64, 64)
    fused, sides = net(x)
    assert len(sides) == 1
    torch.testing.assert_close(fused, grown(net.fusion(sides[0]), x))


@torch.inference_mode()
def test_fusion_begins_as_the_mean_of_the_last_side_maps():
    x = torch.randn(1, 3, 64, 64)
    fused, sides = network()(x)
    torch.testing.assert_close(fused, grown(sides[-1].mean(dim=1, keepdim=True), x), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_fusion_relu_keeps_every_probability_at_one_half_or_more():
    x = torch.randn(1, 3, 64, 64)
    with_relu, without = network(fusion_relu=True), network()
    without.load_state_dict(with_relu.state_dict())
    for net in (with_relu, without):
        net.fusion.bias.fill_(-net.fusion(without(x).sides[-1]).median())  # about half the pixels are below zero
    assert with_relu(x).fused.sigmoid().min() >= 0.5
    assert without(x).fused.sigmoid().min() < 0.5


# --- behaviour -------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_batch_of_one_is_a_row_of_a_batch():
    net, x = network(), torch.randn(3, 3, 64, 64)
    fused, sides = net(x)
    for i in range(3):
        row = Outputs(fused[i : i + 1], [side[i : i + 1] for side in sides])
        assert_outputs_close(net(x[i : i + 1]), row, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_channels_last_gives_the_same():
    net, x = network(), torch.randn(2, 3, 64, 64)
    expected = net(x)
    net.to(memory_format=torch.channels_last)
    got = net(x.to(memory_format=torch.channels_last))
    assert_outputs_close(got, expected, rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_bfloat16_gives_nearly_the_same_map():
    net, x = network(), torch.randn(1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = net(x).fused.float().sigmoid()
    assert (rounded - net(x).fused.sigmoid()).abs().mean() < 0.02


def test_deterministic():
    outputs = []
    for _ in range(2):
        torch.manual_seed(7)
        outputs.append(network()(torch.randn(1, 3, 64, 64)))
    assert_outputs_close(outputs[0], outputs[1], rtol=0, atol=0)


@pytest.mark.parametrize("share_steps", [True, False])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("stride", [2, 4])
def test_gradient_reaches_every_parameter(share_steps, residual, stride):
    net = network(share_steps=share_steps, rrm=residual, grid_stride=stride, width=8).train()
    mask = (torch.rand(2, 1, 64, 64) > 0.5).float()
    sum(loss_terms(net(torch.randn(2, 3, 64, 64)), mask).values()).backward()
    unreached = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unreached


def test_gradient_without_steps_reaches_every_parameter_that_asks_for_one():
    # data-parallel training waits for the gradient of each such parameter; A is read by nothing here
    net = network(steps=0).train()
    sum(loss_terms(net(torch.randn(2, 3, 64, 64)), torch.ones(2, 1, 64, 64)).values()).backward()
    asking = {name for name, p in net.named_parameters() if p.requires_grad}
    assert {name for name, p in net.named_parameters() if p.grad is not None} == asking
    assert asking == {name for name, _ in net.named_parameters() if not name.startswith("amdf.")}


def test_each_step_of_training_lowers_the_loss():
    net = network().train()
    x, mask = torch.randn(2, 3, 64, 64), (torch.rand(2, 1, 64, 64) > 0.5).float()
    losses = []
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    for _ in range(3):
        loss = sum(loss_terms(net(x), mask).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > losses[1] > losses[2]


@torch.inference_mode()
def test_state_dict_round_trip():
    source, copy, x = network(), network(), torch.randn(1, 3, 64, 64)
    assert not torch.equal(source(x).fused, copy(x).fused)
    copy.load_state_dict(source.state_dict())
    assert_outputs_close(copy(x), source(x), rtol=0, atol=0)


def test_export_gives_the_same():
    net, x = network(), torch.randn(1, 3, 64, 64)
    exported = torch.export.export(net, (x,)).module()
    with torch.inference_mode():
        assert_outputs_close(exported(x), net(x), rtol=1e-4, atol=1e-4)
