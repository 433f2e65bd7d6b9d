"""Learning rates at steps worked out by hand, weight decay, averaged weights."""

import math

import pytest
import torch
from torch import nn

from r2mrf.config import Train
from r2mrf.network.model import R2MRF
from r2mrf.training.optim import AveragedWeights, make_optimizer, rate_factor, set_rate
from tests.support.model import architecture


def recipe(**changes) -> Train:
    values = {
        "start": "", "mix": (), "repeat": 0, "workers": 1, "steps": 100, "batch": 2, "crop": 32, "optimizer": "sgd",
        "lr": 0.1, "backbone_lr": 0.01, "weight_decay": 0.5, "schedule": "poly", "warmup": 0.0, "side_weight": 1.0,
        "side_growth": 1.0, "robustness": 0.0, "clip_norm": 0.0, "ema": 0.0, "precision": "fp32", "validation": 0,
        "report_every": 10, "max_failures": 0,
    }  # fmt: skip
    return Train(**values | changes)


@pytest.fixture(scope="module")
def network() -> R2MRF:
    return R2MRF(architecture())


# --- schedules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "warmup", "step", "factor"),
    [
        ("poly", 0.0, 0, 1.0),
        ("poly", 0.0, 50, 0.5**0.9),
        ("poly", 0.0, 99, 0.01**0.9),
        ("cosine", 0.0, 0, 1.0),
        ("cosine", 0.0, 25, (1 + math.sqrt(0.5)) / 2),
        ("cosine", 0.0, 50, 0.5),
        ("cosine", 0.0, 75, (1 - math.sqrt(0.5)) / 2),
        # 19 steps of warm-up rise in twentieths; the 20th is full, then 81 steps down
        ("poly", 0.19, 0, 1 / 20),
        ("poly", 0.19, 9, 10 / 20),
        ("poly", 0.19, 18, 19 / 20),
        ("poly", 0.19, 19, 1.0),
        ("poly", 0.19, 99, (1 / 81) ** 0.9),
        ("cosine", 0.19, 4, 5 / 20),
        ("cosine", 0.19, 46, 0.75),  # a third of the way down: (1 + cos 60°) / 2
        ("one_cycle", 0.19, 9, 0.5),  # (1 − cos 90°) / 2
        ("one_cycle", 0.19, 4, (1 - math.sqrt(0.5)) / 2),
        ("one_cycle", 0.19, 19, 1.0),
        ("one_cycle", 0.19, 73, 0.25),  # two thirds: (1 + cos 120°) / 2
        ("one_cycle", 1.0, 99, (1 - math.cos(math.pi * 100 / 101)) / 2),  # rises to the end
    ],
)
def test_rate_by_hand(schedule, warmup, step, factor):
    assert rate_factor(step, recipe(schedule=schedule, warmup=warmup)) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize("schedule", ["poly", "cosine", "one_cycle"])
@pytest.mark.parametrize("warmup", [0.0, 0.15, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 7, 200])
def test_rate_rises_then_falls_and_is_never_0(schedule, warmup, steps):
    train = recipe(schedule=schedule, warmup=warmup, steps=steps)
    factors = [rate_factor(step, train) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    if steps == 200 and warmup < 0.6:
        assert max(factors) == 1
        assert factors[-1] < 0.02


# --- groups ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_every_parameter_once_with_its_rate_and_decay(network, optimizer):
    groups = make_optimizer(network, recipe(optimizer=optimizer)).param_groups
    given = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(given) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        rate = 0.01 if name.startswith("backbone.") else 0.1
        assert given[id(parameter)] == (rate, 0.5 if parameter.ndim > 1 else 0.0), name


def test_only_matrices_shrink_without_a_gradient():
    network = R2MRF(architecture(steps=1))
    optimizer = make_optimizer(network, recipe())
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    for p in network.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, p in network.named_parameters():
        rate = 0.01 if name.startswith("backbone.") else 0.1
        kept = 1 - rate * 0.5 if p.ndim > 1 else 1
        torch.testing.assert_close(p.detach(), before[name] * kept)


def test_both_rates_follow_the_schedule(network):
    train = recipe(schedule="cosine")
    optimizer = make_optimizer(network, train)
    for step, factor in ((50, 0.5), (0, 1.0), (75, (1 - math.sqrt(0.5)) / 2)):  # in any order: no state
        assert set_rate(optimizer, step, train) == pytest.approx(factor)
        assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.01 * factor] * 2 + [0.1 * factor] * 2)


# --- averaged weights ------------------------------------------------------------------------------------


def averaged_after(values: list[float], decay: float) -> float:
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(values[0])
    averaged = AveragedWeights(module, decay)
    for step, value in enumerate(values[1:]):
        with torch.no_grad():
            module.weight.fill_(value)
        averaged.update(module, step)
    return averaged.values["weight"].item()


def test_average_by_hand():
    # decays 1/10, 2/11, 3/12 while they are below the limit
    assert averaged_after([0, 1], 0.9) == pytest.approx(0.9)
    assert averaged_after([0, 1, 2], 0.9) == pytest.approx(0.9 * 2 / 11 + 2 * 9 / 11)
    assert averaged_after([0, 1, 2, 0], 0.9) == pytest.approx((0.9 * 2 / 11 + 2 * 9 / 11) / 4)
    assert averaged_after([0, 1, 2, 0], 0.15) == pytest.approx(((0.9 * 0.15) + 2 * 0.85) * 0.15)


def test_long_average_forgets_at_the_limit():
    assert averaged_after([1] * 2000 + [0] * 10, 0.9) == pytest.approx(0.9**10, rel=1e-3)


def test_without_decay_the_last_weights():
    assert averaged_after([0.1, 0.7, 0.3], 0.0) == torch.tensor(0.3).item()


def test_average_is_a_copy(network):
    averaged = AveragedWeights(network, 0.9)
    own = dict(network.named_parameters())
    assert averaged.values.keys() == own.keys()
    assert all(value.data_ptr() != own[name].data_ptr() for name, value in averaged.values.items())
