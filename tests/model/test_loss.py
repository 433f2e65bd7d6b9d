"""Cross-entropy of every output, summed; worked out by hand where one pixel is enough."""

import math

import pytest
import torch

from r2mrf.network.loss import certain, loss_terms
from r2mrf.network.model import Outputs


def outputs(batch: int = 2, steps: int = 3, side: int = 16, grid: int = 4, **options) -> Outputs:
    sides = [torch.randn(batch, 5, grid, grid, **options) for _ in range(steps + 1)]
    return Outputs(torch.randn(batch, 1, side, side, **options), sides)


def binary_mask(batch: int = 2, side: int = 16) -> torch.Tensor:
    return (torch.rand(batch, 1, side, side) > 0.5).float()


@pytest.mark.parametrize("steps", [0, 1, 6])
def test_terms_are_the_fused_map_and_each_step(steps):
    terms = loss_terms(outputs(steps=steps), binary_mask())
    assert list(terms) == ["fused", *(f"side_{t}" for t in range(steps + 1))]


@pytest.mark.parametrize(
    ("logit", "target", "expected"),
    [
        (0.0, 1.0, math.log(2)),
        (2.0, 1.0, math.log(1 + math.exp(-2))),
        (2.0, 0.0, math.log(1 + math.exp(2))),
        (-3.0, 0.0, math.log(1 + math.exp(-3))),
    ],
)
def test_cross_entropy_of_one_pixel(logit, target, expected):
    # −log p for a defocused pixel, −log(1 − p) for a sharp one, p = 1 / (1 + exp(−logit))
    one = Outputs(torch.full((1, 1, 1, 1), logit), [torch.full((1, 5, 1, 1), logit)])
    terms = loss_terms(one, torch.full((1, 1, 1, 1), target))
    assert terms["fused"].item() == pytest.approx(expected, rel=1e-6)
    assert terms["side_0"].item() == pytest.approx(5 * expected, rel=1e-6)  # summed over the five branches


@pytest.mark.parametrize("q", [0.3, 0.7, 1.0])
def test_generalised_cross_entropy_of_one_pixel(q):
    """(1 − p^q) / q, p = probability of the label; its gradient is that of cross-entropy, times p^q."""
    logit = torch.full((1, 1, 1, 1), -2.0, requires_grad=True)
    p = 1 / (1 + math.exp(2))  # a sharp pixel that a mask calls defocused
    loss = loss_terms(Outputs(logit, [torch.zeros(1, 5, 1, 1)]), torch.ones(1, 1, 1, 1), robustness=q)["fused"]
    loss.backward()
    assert loss.item() == pytest.approx((1 - p**q) / q, rel=1e-6)
    assert logit.grad.item() == pytest.approx(-(1 - p) * p**q, rel=1e-6)


def test_the_less_robust_the_nearer_to_cross_entropy():
    made, mask = outputs(), binary_mask()
    plain, nearly = loss_terms(made, mask), loss_terms(made, mask, robustness=1e-4)
    for name in plain:
        torch.testing.assert_close(nearly[name], plain[name], rtol=1e-3, atol=1e-3)


def test_each_branch_and_step_adds_its_own_cross_entropy():
    # masks of one pixel, defocused: the loss is Σ log(1 + exp(−logit)) over the fused map, branches and steps
    sides = [torch.randn(1, 5, 1, 1) for _ in range(3)]
    fused = torch.randn(1, 1, 1, 1)
    total = sum(loss_terms(Outputs(fused, sides), torch.ones(1, 1, 1, 1)).values()).item()
    logits = [fused.item(), *torch.cat(sides).flatten().tolist()]
    assert len(logits) == 1 + 3 * 5
    assert total == pytest.approx(sum(math.log(1 + math.exp(-x)) for x in logits), rel=1e-5)


def test_side_growth_is_the_ratio_of_a_steps_weight_to_the_step_before():
    made, mask = outputs(steps=3), binary_mask()
    alike, growing = loss_terms(made, mask, 0.5), loss_terms(made, mask, 0.5, side_growth=2.0)
    ratios = [float(growing[f"side_{t}"] / alike[f"side_{t}"]) for t in range(4)]
    assert ratios == pytest.approx([1 / 8, 1 / 4, 1 / 2, 1])
    assert torch.equal(growing["fused"], alike["fused"])


def test_side_weight_scales_the_sides_alone():
    made, mask = outputs(), binary_mask()
    full, light, none = (loss_terms(made, mask, side_weight=w) for w in (1.0, 0.25, 0.0))
    for name in full:
        torch.testing.assert_close(light[name], full[name] * (1 if name == "fused" else 0.25))
    assert all(none[name] == 0 for name in none if name != "fused")


def test_sides_are_compared_with_the_area_averaged_mask():
    # a quarter of the cell is defocused: cross-entropy of logit 0 is log 2 for any target, its gradient p − target
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2, :2] = 1
    side = torch.zeros(1, 5, 1, 1, requires_grad=True)
    loss_terms(Outputs(torch.zeros(1, 1, 4, 4), [side]), mask)["side_0"].backward()
    torch.testing.assert_close(side.grad, torch.full((1, 5, 1, 1), 0.5 - 0.25))


def test_which_pixels_are_certain():
    mask = torch.tensor([0.0, 0.1, 0.11, 0.5, 0.89, 0.9, 1.0])
    assert certain(mask).tolist() == [1, 1, 0, 0, 0, 1, 1]


def test_doubtful_pixels_have_no_influence():
    # the left half of the mask is doubtful; its cells on the grid are doubtful throughout
    mask = binary_mask()
    mask[..., :8] = 0.5
    made = outputs(requires_grad=True)
    sum(loss_terms(made, mask).values()).backward()
    for gradient, middle in [(made.fused.grad, 8), *((side.grad, 2) for side in made.sides)]:
        assert (gradient[..., :middle] == 0).all()
        assert (gradient[..., middle:] != 0).all()
    changed = mask.clone()
    changed[..., :8] = 0.3
    before, after = loss_terms(made, mask), loss_terms(made, changed)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_cell_that_is_doubtful_in_part_takes_the_rest_of_it():
    # of 4 pixels one is defocused, one sharp, two doubtful: target 1/2, weight 1/2; gradient at logit 1: (p − 1/2) / 2
    mask = torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]])
    side = torch.ones(1, 5, 1, 1, requires_grad=True)
    loss_terms(Outputs(torch.zeros(1, 1, 2, 2), [side]), mask)["side_0"].backward()
    p = 1 / (1 + math.exp(-1))
    torch.testing.assert_close(side.grad, torch.full((1, 5, 1, 1), (p - 0.5) / 2))


def test_nothing_but_doubt_is_zero_and_finite():
    made = outputs(requires_grad=True)
    terms = loss_terms(made, torch.full((2, 1, 16, 16), 0.5))
    assert all(term == 0 for term in terms.values())
    sum(terms.values()).backward()
    assert all((tensor.grad == 0).all() for tensor in (made.fused, *made.sides))


def test_mean_of_two_halves_is_the_whole():
    # so that workers which average their gradients do what one of them would do alone, whatever is doubtful where
    made, mask = outputs(batch=4), binary_mask(batch=4)
    mask[0] = 0.5
    mask[1, ..., :5] = 0.5
    whole = loss_terms(made, mask)
    halves = [
        loss_terms(Outputs(made.fused[rows], [side[rows] for side in made.sides]), mask[rows])
        for rows in (slice(0, 2), slice(2, 4))
    ]
    for name in whole:
        torch.testing.assert_close((halves[0][name] + halves[1][name]) / 2, whole[name])


def test_half_precision_outputs_are_summed_in_full():
    made, mask = outputs(), binary_mask()
    rounded = Outputs(made.fused.bfloat16(), [side.bfloat16() for side in made.sides])
    terms = loss_terms(rounded, mask)
    back = Outputs(rounded.fused.float(), [side.float() for side in rounded.sides])
    for name, expected in loss_terms(back, mask).items():
        assert terms[name].dtype == torch.float32
        assert torch.equal(terms[name], expected)


def test_extreme_logits_stay_finite():
    made = Outputs(torch.full((1, 1, 4, 4), 1e4), [torch.full((1, 5, 2, 2), -1e4)])
    mask = binary_mask(1, 4)
    assert all(term.isfinite() for term in loss_terms(made, mask).values())
