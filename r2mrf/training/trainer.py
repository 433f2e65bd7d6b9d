"""One training run: network, optimiser, schedule, averaged weights, and their state on disk.

This module does not know how many workers there are or who calls it. The state holds everything that the next step
depends on, and batches are a pure function of the step, so a resumed run gives the same result as an undisturbed one.
"""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from r2mrf.config import Config
from r2mrf.data.batches import Batch, validation_batch
from r2mrf.errors import UserError
from r2mrf.evaluation.metrics import Counts, ImageCounts
from r2mrf.imaging.maps import to_uint8
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network import checkpoint as checkpoints
from r2mrf.network import model_folder
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.loss import loss_terms
from r2mrf.network.model import R2MRF
from r2mrf.network.precision import autocast
from r2mrf.system import strict_json
from r2mrf.training.optim import AveragedWeights, make_optimizer, set_rate, warmed_up

TENSORS, FACTS = "state.safetensors", "state.json"
HASH = "facts_sha256"  # key of the hash over all other facts
VALIDATION_BATCH = 8  # photos


class NotFinite(RuntimeError):
    """The loss or its gradient is no longer a finite number.

    Attributes:
        step: the step in which it happened, counted from 0.
        terms: this worker's share of each term of the loss, by name.
        gradient_norm: norm of the gradient, which all workers share.
    """

    def __init__(self, step: int, terms: dict[str, float], gradient_norm: float):
        super().__init__(step, terms, gradient_norm)
        self.step, self.terms, self.gradient_norm = step, terms, gradient_norm

    def __str__(self) -> str:
        found = ", ".join(f"{name} {value:g}" for name, value in self.terms.items())
        return (
            f"loss not finite at step {self.step}: {found}; gradient norm {self.gradient_norm:g}. "
            "Lower the learning rate (train.lr), set train.clip_norm, or use precision fp32"
        )


class Trainer:
    """The state of a run.

    Args:
        config: configuration of the run.
        fingerprint: hash of everything that the run depends on.
        device: the device to train on.
        state: a folder written by `save`, to resume from; None to start afresh.

    Attributes:
        network: the network in training, on the device. averaged: its averaged weights, which are released.
        step: number of steps done. history: one dict per report, for curves.

    Raises:
        UserError: `train.start` names no model, or one with another architecture.
        ValueError: the state is damaged, or belongs to another run (other data, parameters or code).
    """

    def __init__(self, config: Config, fingerprint: str, device: torch.device | str = "cpu", state: Path | None = None):
        torch.manual_seed(config.run_seed)
        self.device = torch.device(device)
        self.config, self.train = config, config.train
        self.fingerprint = fingerprint
        begun = None if state else starting_point(config)
        model = config.model.model_copy(update={"weights": "random"}) if state else config.model
        network = begun.network if begun else R2MRF(model)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        backbone = self.network.backbone
        self.preprocess = Preprocess(config.model.input_size, backbone.mean, backbone.std)
        self.optimizer = make_optimizer(self.network, self.train)
        self.averaged = AveragedWeights(self.network, self.train.ema)
        self.step = 0
        self.history: list[dict] = []
        if state:
            self._load(state)

    def train_step(self, module: nn.Module, batch: Batch, share: float = 1.0) -> dict[str, float]:
        """Take one training step on this worker's part of the batch.

        Args:
            module: the network, or a wrapper that averages gradients over the workers.
            batch: this worker's part.
            share: size of this part divided by the mean size of all workers' parts. It makes the averaged gradient
                equal to that of the whole batch, however the batch is split.

        Returns:
            The loss, its terms, the norm of the gradient, and the factor of the learning rate.

        Raises:
            NotFinite: the loss or the gradient is not finite; no weight was changed.
        """
        self.network.train()
        rate = set_rate(self.optimizer, self.step, self.train)
        photos, masks = (x.to(self.device, non_blocking=True) for x in batch)
        with autocast(self.train.precision, self.device.type):
            outputs = module(photos)
        robustness = self.train.robustness * warmed_up(self.step, self.train)
        weighted = loss_terms(outputs, masks, self.train.side_weight, self.train.side_growth, robustness)
        terms = {name: share * term for name, term in weighted.items()}
        loss = torch.stack(list(terms.values())).sum()
        if not loss.isfinite():
            loss = loss * torch.nan  # so that every worker sees it in the shared gradient
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.train.clip_norm or float("inf"))
        values = {name: float(term.detach()) for name, term in terms.items()}
        if not np.isfinite([*values.values(), float(norm)]).all():
            raise NotFinite(self.step, values, float(norm))
        self.optimizer.step()
        self.averaged.update(self.network, self.step)
        self.step += 1
        return {"loss": sum(values.values()), "gradient_norm": float(norm), "rate": rate, **values}

    def averaged_network(self) -> R2MRF:
        """Return a copy of the network with the averaged weights, in evaluation mode."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(self.averaged.values, strict=False)  # buffers are never trained
        return network.eval()

    def checkpoint(self, training: dict) -> Checkpoint:
        """Return the model to release: the averaged weights, with facts about the training."""
        return Checkpoint(self.averaged_network().cpu(), self.config.model, self.preprocess, training)

    def save(self, folder: Path) -> None:
        """Write the state into a folder."""
        tensors = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        tensors |= {f"averaged.{key}": value for key, value in self.averaged.values.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items() if value is not None}
        content = save({key: value.contiguous() for key, value in tensors.items()})
        (folder / TENSORS).write_bytes(content)
        facts = {"fingerprint": self.fingerprint, "step": self.step, "history": self.history}
        facts |= {"tensors_sha256": hashlib.sha256(content).hexdigest()}
        (folder / FACTS).write_text(facts_to_text(facts), encoding="utf-8")

    def _load(self, folder: Path) -> None:
        facts = facts_from_text((folder / FACTS).read_bytes())
        if facts["fingerprint"] != self.fingerprint:
            raise ValueError(f"{folder} belongs to a run with other data, parameters or code; it is not used")
        content = (folder / TENSORS).read_bytes()
        if hashlib.sha256(content).hexdigest() != facts["tensors_sha256"]:
            raise ValueError(f"{folder / TENSORS} is damaged: delete {folder}, and training starts again")
        tensors = load(content)
        self.network.load_state_dict(_under(tensors, "network."))
        self.averaged.values = _under(tensors, "averaged.")
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(tensors, "optimizer.").items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.step, self.history = facts["step"], facts["history"]


def facts_to_text(facts: dict) -> str:
    """Return the facts of a state as JSON, including a hash of them."""
    return json.dumps(facts | {HASH: _hash_of(facts)})


def facts_from_text(text: str | bytes) -> dict:
    """Parse facts that `facts_to_text` wrote.

    Raises:
        ValueError: they are not what was written.
    """
    facts = strict_json.parse_object(text)
    if facts.pop(HASH, None) != _hash_of(facts):
        raise ValueError(f"{FACTS} is damaged: delete the state, and training resumes from an older one")
    return facts


def _hash_of(facts: dict) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def starting_point(config: Config) -> Checkpoint | None:
    """Return the model that `train.start` names, or None if training starts from the backbone's weights.

    Its input size may differ from the new model's: the network is convolutional, so its weights fit every size.

    Raises:
        UserError: there is no such model, or it has another architecture.
    """
    if not config.train.start:
        return None
    begun = checkpoints.load(model_folder.locate(config.train.start))
    theirs, ours = (model.model_dump(exclude={"weights", "input_size"}) for model in (begun.model, config.model))
    if other := [f"{key} {theirs[key]} (here {ours[key]})" for key in ours if theirs[key] != ours[key]]:
        raise UserError(
            f"train.start {config.train.start}: the model has {', '.join(other)}; "
            f"set {config.profile}.model to the same values, or start from another model"
        )
    return begun


@torch.inference_mode()
def validate(network: R2MRF, table: pa.Table, rows: range, preprocess: Preprocess, precision: str) -> list[ImageCounts]:
    """Compare the network's maps with the masks of some rows of a table that has the columns image and mask."""
    counts, device = Counts(), next(network.parameters()).device
    for start in range(0, len(rows), VALIDATION_BATCH):
        photos, masks = validation_batch(table, rows[start : start + VALIDATION_BATCH], preprocess)
        with autocast(precision, device.type):
            maps = network(photos.to(device)).fused.float().sigmoid()[:, 0].cpu().numpy()
        for defocus, mask in zip(maps, masks, strict=True):
            counts.add(to_uint8(preprocess.expand(defocus, *mask.shape)), mask)
    return counts.images


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
