"""Reads a trained model from disk without torch: a folder with `model.safetensors` and `model.json`.

The first holds the weights; the second the architecture, the preprocessing, facts about the training and the SHA-256 of
the weights. A model's name is `lite`, its folder, or its name in a registry. `r2mrf.network.checkpoint` builds the
network.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from r2mrf.errors import UserError, one_line
from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.system import strict_json
from r2mrf.system.address import redacted
from r2mrf.system.atomic import atomic_file
from r2mrf.system.regular_files import read_regular

if TYPE_CHECKING:
    from r2mrf.config import Model

WEIGHTS, FACTS = "model.safetensors", "model.json"
MOST_BYTES = 4 << 30  # of weights; the paper's network needs 0.2 GiB
HASH = "facts_sha256"  # key of the hash over all other facts
KINDS = f"a model is a folder with {WEIGHTS} and {FACTS}, or `lite`, the released one"
INT8 = "int8.onnx"  # the network in 8 bits, if r2mrf.engines.int8 has made it
OF_A_MODEL = (WEIGHTS, FACTS, INT8)  # files that saving replaces
RELEASED = Path(__file__).parents[1] / "weights"


class CheckpointError(UserError):
    """A model folder that cannot be used. The message says what is wrong and what to do."""


@dataclass(frozen=True)
class Description:
    """Everything about a model except its network. `sha256` covers weights, architecture and preprocessing."""

    model: Model
    preprocess: Preprocess
    training: dict
    sha256: str
    blur_scale: BlurScale
    int8: bytes = field(repr=False)  # an ONNX file; empty if none was made from these weights

    @property
    def name(self) -> str:
        """The model's name, for people."""
        return name_of(self.model, self.sha256)


def name_of(model: Model, sha256: str) -> str:
    """Return backbone, number of recurrent steps and the start of the content hash, for people."""
    return f"{model.backbone.split('.')[0]}-T{model.steps}-{sha256[:12]}"


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


def read(folder: str | Path) -> dict[str, bytes]:
    """Read the files of a model folder by name, in the form that `describe` and `checkpoint.parse` take.

    Raises:
        CheckpointError: there is no such folder, or the weights or the facts are missing.
    """
    if not Path(folder).exists():
        raise CheckpointError(f"{folder}: no such model; {KINDS}")
    names = [WEIGHTS, FACTS, *([INT8] if (Path(folder) / INT8).is_file() else [])]
    return {name: _read(Path(folder), name) for name in names}


def describe(files: dict[str, bytes], origin: str | Path) -> Description:
    """Return what the files of a model folder say about the model; `origin` is named in errors.

    Whether the weights match the architecture is not checked.

    Raises:
        CheckpointError: files are damaged, the weights are not those that model.json names, or this release does not
            know the architecture or preprocessing.
    """
    from r2mrf.config import Model  # pydantic takes a tenth of a second, and `r2mrf map` does not need it

    folder = Path(origin)
    facts = checked_facts(files, folder)
    try:
        model = Model.model_validate(facts["model"]).model_copy(update={"weights": "random"})
        preprocess = Preprocess.from_dict(facts["preprocess"])
        if preprocess.size != model.input_size:  # input_size has an upper bound
            raise ValueError(f"preprocess.size {preprocess.size} is not model.input_size {model.input_size}")
        blur_scale = BlurScale.from_facts(facts)
    except (KeyError, TypeError, ValueError) as error:
        raise unfit(folder, error) from None
    return Description(model, preprocess, facts.get("training", {}), _identity(facts), blur_scale, _int8(files, facts))


def unfit(folder: Path, error: Exception) -> CheckpointError:
    """Return the error for a model that this release cannot build."""
    return CheckpointError(f"{folder} does not work with this release of r2mrf: {one_line(error, 300)}")


def content_hash(folder: str | Path) -> str:
    """Return `Description.sha256` of a model folder, whatever its architecture.

    Raises:
        CheckpointError: files are missing or damaged, or the weights are not those that model.json names.
    """
    try:
        return _identity(checked_facts(read(folder), Path(folder)))
    except (KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{Path(folder) / FACTS} is incomplete: get the folder again") from None


def checked_facts(files: dict[str, bytes], folder: Path) -> dict:
    """Return the content of model.json, after checking the hash of the weights.

    Raises:
        CheckpointError: it is not JSON, or names other weights.
    """
    facts = _facts(folder, files[FACTS])
    if hashlib.sha256(files[WEIGHTS]).hexdigest() != facts.get("weights_sha256"):
        raise CheckpointError(
            f"{folder / WEIGHTS} is not the file that {FACTS} names (SHA-256 differs): get the folder again"
        )
    return facts


def facts_to_json(facts: dict) -> bytes:
    """Return what model.json holds: facts, and a hash of them, by which damage is seen."""
    facts = {key: value for key, value in facts.items() if key != HASH}
    return (json.dumps(facts | {HASH: _hash_of(facts)}, indent=2) + "\n").encode()


def amend(folder: Path, changes: dict) -> Path:
    """Write further facts into a model's model.json, with the hash of all of them; return the file.

    Raises:
        CheckpointError: its facts are damaged, or are those of other weights.
    """
    facts = checked_facts(read(folder), folder) | changes
    with atomic_file(folder / FACTS) as file:
        file.write_bytes(facts_to_json(facts))
    return folder / FACTS


def _hash_of(facts: dict) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


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
        raise CheckpointError(f"{folder / name}: {error.strerror}; {KINDS}") from None


def _facts(folder: Path, content: bytes) -> dict:
    try:
        facts = strict_json.parse_object(content)
    except ValueError as error:
        raise CheckpointError(
            f"{folder / FACTS} is not a JSON object ({one_line(error)}): get the folder again"
        ) from None
    written = facts.pop(HASH, None)  # models that were saved before version 0.2 have none
    if written is not None and written != _hash_of(facts):
        raise CheckpointError(
            f"{folder / FACTS} is damaged, or was changed by hand ({HASH} differs): get the folder again"
        )
    return facts
