"""A trained model on disk: a folder with `model.safetensors` (weights) and `model.json` (everything else).

`model.json` holds the architecture, the preprocessing, facts about the training and the SHA-256 of the weights. Nothing
is unpickled. A folder appears completely or not at all. A model's name is `lite`, its folder, or its name in a
registry.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor
from torch.overrides import TorchFunctionMode

from r2mrf.config import Model
from r2mrf.errors import UserError, one_line
from r2mrf.imaging.blur_scale import UNMEASURED, BlurScale
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network.model import R2MRF
from r2mrf.system import strict_json
from r2mrf.system.address import redacted
from r2mrf.system.atomic import atomic_folder
from r2mrf.system.regular_files import read_regular

WEIGHTS, FACTS = "model.safetensors", "model.json"
MOST_BYTES = 4 << 30  # of weights; the paper's network needs 0.2 GiB
INT8 = "int8.onnx"  # the network in 8 bits, if r2mrf.engines.int8 has made it
RELEASED = Path(__file__).parents[1] / "weights"


class CheckpointError(UserError):
    """A model folder that cannot be used. The message says what is wrong and what to do."""


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
        return f"{self.model.backbone.split('.')[0]}-T{self.model.steps}-{self.sha256[:12]}"


def save(folder: str | Path, checkpoint: Checkpoint) -> Path:
    """Write a model folder, replacing an older one; if anything fails, the old one stays.

    Raises:
        CheckpointError: `folder` exists and is not a model folder.
        UserError: the folder cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / FACTS).is_file():
        raise CheckpointError(f"{folder} exists and is not a model folder: choose another name, or move it away")
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
        (new / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return folder


def load(folder: str | Path) -> Checkpoint:
    """Read a model folder.

    Raises:
        CheckpointError: files are missing or damaged, the weights are not those that model.json names, or this release
            does not know the architecture or preprocessing.
    """
    return parse(read(folder), folder)


def read(folder: str | Path) -> dict[str, bytes]:
    """Read the files of a model folder by name, in the form that `parse` takes.

    Raises:
        CheckpointError: the weights or the facts are missing.
    """
    names = [WEIGHTS, FACTS, *([INT8] if (Path(folder) / INT8).is_file() else [])]
    return {name: _read(Path(folder), name) for name in names}


def parse(files: dict[str, bytes], origin: str | Path) -> Checkpoint:
    """Build a checkpoint from files that were read before; `origin` is named in errors. Raises the same as `load`."""
    folder = Path(origin)
    weights, facts = _checked(files, folder)
    try:
        model = Model.model_validate(facts["model"]).model_copy(update={"weights": "random"})
        preprocess = Preprocess.from_dict(facts["preprocess"])
        if preprocess.size != model.input_size:  # input_size has an upper bound
            raise ValueError(f"preprocess.size {preprocess.size} is not model.input_size {model.input_size}")
        blur_scale = BlurScale.from_facts(facts)
        tensors = load_tensors(weights)
        _check_shapes(model, tensors)
        network = R2MRF(model)
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, ValidationError, SafetensorError) as error:
        raise CheckpointError(f"{folder} does not work with this release of r2mrf: {one_line(error, 300)}") from None
    training, identity, int8 = facts.get("training", {}), _identity(facts), _int8(files, facts)
    return Checkpoint(network.eval(), model, preprocess, training, identity, blur_scale, int8)


def content_hash(folder: str | Path) -> str:
    """Return `Checkpoint.sha256` of a model folder, without building its network.

    Raises:
        CheckpointError: files are missing or damaged, or the weights are not those that model.json names.
    """
    try:
        return _identity(_checked(read(folder), Path(folder))[1])
    except (KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{Path(folder) / FACTS} is incomplete: get the folder again") from None


def locate(name: str) -> Path:
    """Return the folder of a model on this machine, given the model's name.

    Raises:
        CheckpointError: no installed resolver handles this kind of name.
    """
    scheme, colon, _ = name.partition(":/")
    if colon:
        for resolver in entry_points(group="r2mrf.resolvers", name=scheme):
            return resolver.load()(name)
        raise CheckpointError(
            f"{redacted(name)}: nothing installed here resolves {scheme}:/ names: give a model folder"
        )
    return RELEASED / "lite" if name == "lite" else Path(name)


def _checked(files: dict[str, bytes], folder: Path) -> tuple[bytes, dict]:
    """Return the weights and the facts, after checking the hash of the weights."""
    weights, facts = files[WEIGHTS], _facts(folder, files[FACTS])
    if hashlib.sha256(weights).hexdigest() != facts.get("weights_sha256"):
        raise CheckpointError(
            f"{folder / WEIGHTS} is not the file that {FACTS} names (SHA-256 differs): get the folder again"
        )
    return weights, facts


def _int8(files: dict[str, bytes], facts: dict) -> bytes:
    """Return the int8 form, or b"" if it is missing or is not the one that the facts name."""
    graph, named = files.get(INT8, b""), facts.get("int8")
    if not isinstance(named, dict) or hashlib.sha256(graph).hexdigest() != named.get("sha256"):
        return b""
    return graph


def _identity(facts: dict) -> str:
    """Hash everything that affects a map: weights, architecture, preprocessing."""
    model = {key: value for key, value in facts["model"].items() if key != "weights"}
    parts = [facts["weights_sha256"], model, facts["preprocess"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _read(folder: Path, name: str) -> bytes:
    try:
        return read_regular(folder / name, MOST_BYTES)
    except OSError as error:
        raise CheckpointError(
            f"{folder / name}: {error.strerror}; a model is a folder with {WEIGHTS} and {FACTS}"
        ) from None


def _facts(folder: Path, content: bytes) -> dict:
    try:
        return strict_json.parse_object(content)
    except ValueError as error:
        raise CheckpointError(
            f"{folder / FACTS} is not a JSON object ({one_line(error)}): get the folder again"
        ) from None


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
