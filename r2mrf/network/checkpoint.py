"""Loads a network from a model folder, and saves it there. Nothing is unpickled; `model_folder` says what lies in one.

A folder appears completely or not at all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor
from torch.overrides import TorchFunctionMode

from r2mrf.config import Model
from r2mrf.imaging.blur_scale import UNMEASURED, BlurScale
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network.model import R2MRF
from r2mrf.network.model_folder import (
    FACTS,
    OF_A_MODEL,
    WEIGHTS,
    CheckpointError,
    describe,
    facts_to_json,
    name_of,
    read,
    unfit,
)
from r2mrf.system.atomic import atomic_folder, would_delete


@dataclass(frozen=True)
class Checkpoint:
    """A network with all that is needed to use it. `sha256` covers weights, architecture and preprocessing."""

    network: R2MRF
    model: Model
    preprocess: Preprocess
    training: dict = field(default_factory=dict)  # facts for people: data, steps, figures
    sha256: str = ""
    blur_scale: BlurScale = UNMEASURED
    int8: bytes = field(default=b"", repr=False)  # an ONNX file; empty if none was made from these weights

    @property
    def name(self) -> str:
        """Backbone, number of recurrent steps and the start of the content hash, for people."""
        return name_of(self.model, self.sha256)


def check_free(folder: Path) -> None:
    """Check that a model can be saved at a place; see `save`."""
    if folder.exists() and not (folder / FACTS).is_file():
        raise CheckpointError(f"{folder} exists and is not a model folder: choose another name, or move it away")
    if folder.exists() and (why := would_delete(folder, OF_A_MODEL, "a model")):
        raise CheckpointError(why)


def save(folder: str | Path, checkpoint: Checkpoint) -> Path:
    """Write a model folder, replacing an older one; if anything fails, the old one stays.

    Raises:
        CheckpointError: `folder` exists and is not a model folder, or holds other files, too.
        UserError: the folder cannot be written.
    """
    folder = Path(folder)
    check_free(folder)
    weights = save_tensors({key: value.contiguous() for key, value in checkpoint.network.state_dict().items()})
    facts = {
        "format": 1,
        "model": checkpoint.model.model_dump(),
        "preprocess": checkpoint.preprocess.to_dict(),
        "blur_scale": checkpoint.blur_scale.to_dict(),
        "training": checkpoint.training,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    with atomic_folder(folder) as new:
        (new / WEIGHTS).write_bytes(weights)
        (new / FACTS).write_bytes(facts_to_json(facts))
    return folder


def load(folder: str | Path) -> Checkpoint:
    """Read a model folder.

    Raises:
        CheckpointError: files are missing or damaged, the weights are not those that model.json names, or this release
            does not know the architecture or preprocessing.
    """
    return parse(read(folder), folder)


def parse(files: dict[str, bytes], origin: str | Path) -> Checkpoint:
    """Build a checkpoint from files that were read before; `origin` is named in errors. Raises the same as `load`."""
    said = describe(files, origin)
    try:
        tensors = load_tensors(files[WEIGHTS])
        _check_shapes(said.model, tensors)
        network = R2MRF(said.model)
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise unfit(Path(origin), error) from None
    facts = said.training, said.sha256, said.blur_scale, said.int8
    return Checkpoint(network.eval(), said.model, said.preprocess, *facts)


def _check_shapes(model: Model, tensors: dict[str, Tensor]) -> None:
    """Refuse an architecture that does not match the weights before allocating its memory: it may be of any size."""
    with torch.device("meta"), _Unfilled():
        wanted = R2MRF(model).state_dict()
    for name, tensor in wanted.items():
        given = tensors.get(name)
        if given is None or given.shape != tensor.shape:
            found = "missing" if given is None else f"of shape {[*given.shape]}"
            raise ValueError(f"model: {name} is {found} in {WEIGHTS}, but {FACTS} says shape {[*tensor.shape]}")


class _Unfilled(TorchFunctionMode):
    """Leaves new weights unfilled, because filling tensors without memory would make torch import its compiler."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "zero_", "fill_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def untrained(model: Model) -> Checkpoint:
    """Build a network with random weights, ready to predict."""
    model = model.model_copy(update={"weights": "random"})
    network = R2MRF(model).eval()
    return Checkpoint(network, model, Preprocess(model.input_size, network.backbone.mean, network.backbone.std))
