"""One training run learns, resumes where it stopped, and stops before a weight becomes not finite."""

import contextlib
import copy
import itertools
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml

from r2mrf.config import Config
from r2mrf.data.batches import Batch, Samples, batch_positions
from r2mrf.errors import UserError
from r2mrf.evaluation.metrics import HALF, f_at
from r2mrf.imaging import images
from r2mrf.network import checkpoint
from r2mrf.network.loss import loss_terms
from r2mrf.training.trainer import NotFinite, Trainer, facts_from_text, facts_to_text, validate

PARAMS = Path(__file__).parents[2] / "params.yaml"
TERMS = {"fused", "side_0", "side_1", "side_2"}


def config(**train) -> Config:
    values = yaml.safe_load(PARAMS.read_text())
    values["lite"]["model"] |= {"weights": "random", "amdf_width": 4, "width": 2, "steps": 2, "input_size": 64}
    values["lite"]["train"] |= {"steps": 6, "batch": 4, "crop": 64, "precision": "fp32", "warmup": 0.0} | train
    return Config.model_validate(values | {"profile": "lite"})


def pair() -> tuple[np.ndarray, np.ndarray]:
    """Return a texture that is blurred on the right, and its mask."""
    texture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    photo, mask = texture.copy(), np.zeros((64, 64), np.uint8)
    photo[:, 32:] = cv2.GaussianBlur(texture, (0, 0), 3)[:, 32:]
    mask[:, 32:] = 255
    return photo, mask


@pytest.fixture(scope="module")
def table() -> pa.Table:
    photo, mask = pair()
    photos = [np.roll(photo, 7 * i, axis=0) for i in range(5)]
    return pa.table({"image": [images.encode_png(p) for p in photos], "mask": [images.encode_png(mask)] * 5})


def run(trainer: Trainer, table: pa.Table, until: int) -> list[dict]:
    train = trainer.train
    samples = Samples(table, trainer.preprocess, train.crop, trainer.config.seed)
    return [
        trainer.train_step(trainer.network, samples.batch(batch_positions(trainer.step, train.batch)))
        for _ in range(trainer.step, until)
    ]


def first_batch(trainer: Trainer, table: pa.Table, size: int = 4) -> Batch:
    return Samples(table, trainer.preprocess, 64, 0).batch(range(size))


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}


def assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert different == []


# --- learning --------------------------------------------------------------------------------------------


def test_learns_one_pair_by_heart(table):
    one = table.slice(0, 1)
    steps = 50
    trainer = Trainer(config(steps=steps, batch=2, optimizer="adamw", lr=1e-2, backbone_lr=1e-3, ema=0.9), "key")
    losses = [values["loss"] for values in run(trainer, one, steps)]
    assert np.mean(losses[-5:]) < 0.15 * losses[0]
    (counts,) = validate(trainer.averaged_network(), one, range(1), trainer.preprocess, "fp32")
    assert f_at(counts, HALF) > 0.95
    assert counts.absolute_error < 0.1


def test_the_papers_recipe(table):
    # ResNeXt-101, its own module every step, all cross-entropies with weight 1; SGD with poly rate, no decay of biases
    values = yaml.safe_load(PARAMS.read_text()) | {"profile": "paper"}
    values["paper"]["model"] |= {"weights": "random", "amdf_width": 4, "width": 2, "input_size": 64}
    values["paper"]["train"] |= {"steps": 4, "batch": 2, "crop": 64, "precision": "fp32"}
    trainer = Trainer(Config.model_validate(values), "key")
    figures = run(trainer, table, 2)
    assert figures[0].keys() == {"loss", "gradient_norm", "rate", "fused"} | {f"side_{t}" for t in range(7)}
    assert [step["rate"] for step in figures] == [1.0, 0.75**0.9]
    assert figures[0]["side_0"] > 5 * 0.3  # five branches, each about log 2, none of them weighted down
    optimizer = trainer.optimizer
    assert isinstance(optimizer, torch.optim.SGD)
    decay = {p.ndim > 1: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay == {True: 5e-4, False: 0.0}
    assert {(group["momentum"], group["base_lr"]) for group in optimizer.param_groups} == {(0.9, 1e-3)}


def test_figures_of_a_step(table):
    trainer = Trainer(config(schedule="cosine"), "key")
    values = run(trainer, table, 4)[3]
    assert values.keys() == {"loss", "gradient_norm", "rate"} | TERMS
    assert values["loss"] == pytest.approx(sum(values[name] for name in TERMS))
    assert values["gradient_norm"] > 0
    assert values["rate"] == pytest.approx(0.5)
    assert trainer.step == 4


def test_bfloat16_learns_the_same_into_weights_of_float32(table):
    losses = {}
    for precision in ("fp32", "bf16"):
        trainer = Trainer(config(precision=precision), "")
        losses[precision] = [values["loss"] for values in run(trainer, table, 6)]
        assert {parameter.dtype for parameter in trainer.network.parameters()} == {torch.float32}
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


def test_same_seed_same_run(table):
    one, other = Trainer(config(), "key"), Trainer(config(), "key")
    assert run(one, table, 2) == run(other, table, 2)
    assert_same(weights(one), weights(other))


def test_gradients_of_half_batches_average_to_those_of_the_whole(table):
    trainer = Trainer(config(), "key")
    network = trainer.network.train()

    def gradients(batch: Batch) -> list[torch.Tensor]:
        network.zero_grad()
        torch.stack(list(loss_terms(network(batch.photos), batch.masks, 0.5).values())).sum().backward()
        return [p.grad.clone() for p in network.parameters()]

    batch = first_batch(trainer, table)
    batch.masks[0, :, :40] = 0.5  # doubt, of which one half has more than the other
    both = gradients(batch)
    halves = [gradients(Batch(batch.photos[part], batch.masks[part])) for part in (slice(0, 2), slice(2, 4))]
    for whole, one, other in zip(both, *halves, strict=True):
        torch.testing.assert_close((one + other) / 2, whole, rtol=1e-3, atol=1e-5 * float(whole.abs().max()) + 1e-7)


@pytest.mark.parametrize("parts", [(1, 3), (1, 2, 1)])
def test_a_batch_may_be_split_unevenly(table, parts):
    # what workers that come and go do: each one's terms and gradient, averaged, are the whole batch's
    def step(batch: Batch, share: float) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
        trainer = Trainer(config(optimizer="sgd", clip_norm=0.0), "key")
        values = trainer.train_step(trainer.network, batch, share)
        return values, {name: p.grad for name, p in trainer.network.named_parameters()}

    whole = first_batch(Trainer(config(), "key"), table)
    values, gradients = step(whole, 1.0)
    bounds = np.cumsum([0, *parts])
    steps = [
        step(Batch(*(x[start:stop] for x in whole)), len(parts) * (stop - start) / 4)
        for start, stop in itertools.pairwise(bounds)
    ]
    for name in TERMS:
        assert np.mean([v[name] for v, _ in steps]) == pytest.approx(values[name], rel=1e-4)
    for name, gradient in gradients.items():
        mean = torch.stack([g[name] for _, g in steps]).mean(0)
        torch.testing.assert_close(mean, gradient, rtol=1e-3, atol=1e-5 * float(gradient.abs().max()) + 1e-7)


def test_statistics_of_the_backbone_stay(table):
    trainer = Trainer(config(), "key")
    before = {name: value.clone() for name, value in trainer.network.named_buffers()}
    run(trainer, table, 2)
    assert_same(before, dict(trainer.network.named_buffers()))


# --- going on --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_stopped_anywhere_it_ends_with_the_same_weights(table, tmp_path, optimizer):
    recipe = config(optimizer=optimizer, ema=0.9, warmup=0.3, schedule="one_cycle")
    undisturbed = Trainer(recipe, "key")
    undisturbed.history.append({"step": 0, "loss": 1.5})
    states = {}
    for step in range(6):
        (folder := tmp_path / str(step)).mkdir()
        undisturbed.save(folder)
        states[step] = run(undisturbed, table, step + 1)
    for step in (0, 1, 4):
        resumed = Trainer(recipe, "key", state=tmp_path / str(step))
        assert resumed.step == step
        assert resumed.history == [{"step": 0, "loss": 1.5}]
        assert run(resumed, table, 6) == [values for later in range(step, 6) for values in states[later]]
        assert_same(weights(resumed), weights(undisturbed))
        assert_same(resumed.averaged.values, undisturbed.averaged.values)
    assert sorted(path.name for path in (tmp_path / "0").iterdir()) == ["state.json", "state.safetensors"]


def test_state_of_another_run_is_refused(table, tmp_path):
    trainer = Trainer(config(), "key")
    run(trainer, table, 1)
    trainer.save(tmp_path)
    with pytest.raises(ValueError, match="other data, parameters or code") as caught:
        Trainer(config(), "another key", state=tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_damaged_state_is_refused(table, tmp_path):
    trainer = Trainer(config(), "key")
    trainer.save(tmp_path)
    file = tmp_path / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"state\.safetensors is damaged: delete"):
        Trainer(config(), "key", state=tmp_path)


def test_going_on_needs_no_pretrained_weights(table, tmp_path):
    # they stand in the state; where a dead worker is replaced, the file they came from may not be
    trainer = Trainer(config(), "key")
    run(trainer, table, 1)
    trainer.save(tmp_path)
    model = config().model.model_copy(update={"weights": "no/such/file.safetensors"})
    elsewhere = config().model_copy(update={"lite": config().lite.model_copy(update={"model": model})})
    assert_same(weights(Trainer(elsewhere, "key", state=tmp_path)), weights(trainer))


# --- starting from a model -------------------------------------------------------------------------------


def test_starts_from_a_model(table, tmp_path):
    first = Trainer(config(), "key")
    run(first, table, 2)
    folder = checkpoint.save(tmp_path / "model", first.checkpoint({}))
    trainer = Trainer(config(start=str(folder)), "another key")
    assert_same(weights(trainer), first.averaged_network().state_dict())
    assert trainer.step == 0
    run(trainer, table, 1)
    with pytest.raises(AssertionError):
        assert_same(weights(trainer), first.averaged_network().state_dict())


def of_architecture(base: Config, **model) -> Config:
    model = base.model.model_copy(update=model)
    return base.model_copy(update={"lite": base.lite.model_copy(update={"model": model})})


def test_starts_from_a_model_of_another_input_size(tmp_path):
    first = Trainer(config(), "key")
    folder = checkpoint.save(tmp_path / "model", first.checkpoint({}))
    trainer = Trainer(of_architecture(config(start=str(folder)), input_size=96), "another key")
    assert_same(weights(trainer), first.averaged_network().state_dict())
    assert trainer.checkpoint({}).preprocess.size == 96


def test_model_of_another_architecture_is_no_start(tmp_path):
    folder = checkpoint.save(tmp_path / "model", Trainer(config(), "key").checkpoint({}))
    wider = of_architecture(config(start=str(folder)), width=3, steps=1)
    with pytest.raises(UserError, match=r"width 2 \(here 3\), steps 2 \(here 1\); set lite\.model to the same values"):
        Trainer(wider, "key")
    with pytest.raises(UserError, match="no/such/model"):
        Trainer(config(start="no/such/model"), "key")


# --- stopping --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), r"step 2: fused nan, side_0 nan, side_1 nan, side_2 nan; .*Lower the learning rate"),
        # the backbone's activations cut infinity off; its gradient they do not
        (float("inf"), r"step 2: fused 0\.\d+, side_0 0\.\d+, .*gradient norm nan\. Lower the learning rate"),
    ],
)
def test_batch_that_is_not_finite(table, value, message):
    trainer = Trainer(config(optimizer="adamw", ema=0.9), "key")
    run(trainer, table, 2)
    batch = first_batch(trainer, table)
    batch.photos[1, 0, 5, 5] = value
    before, averaged = weights(trainer), copy.deepcopy(trainer.averaged.values)
    with pytest.raises(NotFinite, match=message):
        trainer.train_step(trainer.network, batch)
    assert_same(weights(trainer), before)
    assert_same(trainer.averaged.values, averaged)
    assert trainer.step == 2


def test_rate_that_is_far_too_large(table):
    trainer = Trainer(config(optimizer="sgd", lr=1e30, backbone_lr=1e30, clip_norm=0.0, schedule="poly"), "key")
    with pytest.raises(NotFinite, match=r"loss not finite at step [1-5]: fused "):
        run(trainer, table, 6)


def test_gradients_are_clipped(table):
    # plain gradient descent of one step: the weights move by rate times the clipped gradient
    trainer = Trainer(config(optimizer="sgd", lr=1.0, backbone_lr=1.0, weight_decay=0.0, clip_norm=0.01), "key")
    before = weights(trainer)
    (values,) = run(trainer, table, 1)
    moved = sum(float((value - before[name]).double().square().sum()) for name, value in weights(trainer).items())
    assert values["gradient_norm"] > 0.1  # as it was before
    assert moved**0.5 == pytest.approx(0.01, rel=1e-3)


# --- what is kept ----------------------------------------------------------------------------------------


def test_a_flipped_bit_in_the_facts_of_a_state_is_seen():
    facts = {"fingerprint": "abc", "step": 40, "history": [{"step": 20, "loss": 0.125}, {"step": 40, "loss": 0.0625}]}
    written, rng = facts_to_text(facts).encode(), np.random.default_rng(0)
    assert facts_from_text(written) == facts
    for place, bit in zip(rng.integers(len(written), size=500), rng.integers(8, size=500), strict=True):
        damaged = bytearray(written)
        damaged[place] ^= 1 << bit
        with contextlib.suppress(ValueError):
            assert facts_from_text(bytes(damaged)) == facts  # a blank became another


def test_released_weights_are_the_averaged_ones(table, tmp_path):
    trainer = Trainer(config(ema=0.9), "key")
    run(trainer, table, 3)
    folder = checkpoint.save(tmp_path / "model", trainer.checkpoint({"steps": 3}))
    released = checkpoint.load(folder)
    assert released.training == {"steps": 3}
    assert released.preprocess == trainer.preprocess
    assert_same({name: p.detach() for name, p in released.network.named_parameters()}, trainer.averaged.values)
    assert not torch.equal(released.network.fusion.weight, trainer.network.fusion.weight)
    assert trainer.network.training


def test_without_averaging_the_last_weights_are_released(table):
    trainer = Trainer(config(ema=0.0), "key")
    run(trainer, table, 2)
    assert_same(trainer.averaged_network().state_dict(), weights(trainer))


def test_validation_counts_at_the_masks_own_size(table):
    mask = np.zeros((50, 90), np.uint8)
    mask[:, 45:] = 255
    photo = np.full((50, 90, 3), 128, np.uint8)
    wide = pa.table({"image": [images.encode_png(photo)] * 9, "mask": [images.encode_png(mask)] * 9})
    trainer = Trainer(config(), "key")
    with torch.no_grad():
        trainer.averaged.values["fusion.weight"].zero_()
        trainer.averaged.values["fusion.bias"].fill_(50.0)  # all of it defocused
    counts = validate(trainer.averaged_network(), wide, range(1, 9), trainer.preprocess, "fp32")
    assert [(c.pixels, c.positive, c.absolute_error) for c in counts] == [(50 * 90, 50 * 45, 0.5)] * 8
