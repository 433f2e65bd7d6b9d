"""Exports a trained model for other programs: a folder with a graph for ONNX Runtime or OpenVINO, and `model.json`.

`model.json` holds all that is needed to use the graph: inputs, outputs, preprocessing, the SHA-256 of the model and of
each file, and how closely the graph follows torch.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from r2mrf.engines.choose import AGREEMENT, scenes
from r2mrf.engines.onnx_graph import Graph, graph_for
from r2mrf.engines.runtimes import INPUT, OUTPUTS, RUNTIMES, Engine, openvino_core, package
from r2mrf.errors import UserError
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model_folder import FACTS
from r2mrf.system import strict_json
from r2mrf.system.atomic import atomic_folder, would_delete
from r2mrf.system.regular_files import read_regular

TOLERANCE = 1e-3  # of a probability, in float32: a quarter of a grey level of a stored map

INTERFACE: dict[str, dict] = {
    "input": {
        "name": INPUT,
        "shape": ["batch", 3, "height", "width"],
        "type": "float32",
        "meaning": "RGB photo as displayed, resized by area to preprocess.size × preprocess.size, its proportions not "
        "kept, or, where both sides are smaller, continued by reflection; (value / 255 - preprocess.mean) / "
        "preprocess.std per channel",
    },
    "outputs": {
        OUTPUTS[0]: {
            "shape": ["batch", "height", "width"],
            "type": "float32",
            "meaning": "probability that a pixel is out of focus, 0 to 1",
        },
        OUTPUTS[1]: {
            "shape": ["batch", "steps", "rows", "columns"],
            "type": "float32",
            "meaning": "the same after each of the last recurrent steps, smaller; where they agree and are close to "
            "0 or 1, the map can be trusted: confidence = mean |2 p - 1|, p their mean over the steps",
        },
    },
}


class ExportError(UserError):
    """The export could not be made. The message says why; no files are left behind."""


def export(checkpoint: Checkpoint, form: str, folder: str | Path, precision: str = "fp32") -> dict:
    """Write the export, replacing an older one of the same format, and return the content of its `model.json`.

    Args:
        form: one of `EXPORTS`: `onnx` (model.onnx) or `openvino` (model.xml, model.bin).
        precision: fp32, or int8, which needs a model with an int8 form and takes photos of its input size only.

    Raises:
        ExportError: `folder` holds something else, or the graph does not reproduce torch's probabilities.
        EngineError: int8 was asked for, but the model has no int8 form.
        UserError: the runtime that checks the graph is not installed, or the folder cannot be written.
    """
    folder = Path(folder)
    _check_free(folder, form)
    with atomic_folder(folder) as new:
        written = _write(graph_for(checkpoint, precision), form, new)
        engine = RUNTIMES[form](written, torch.get_num_threads(), precision=precision)
        parity = _parity(checkpoint, engine)
        if not parity["difference"] <= parity["tolerance"]:
            raise ExportError(
                f"{folder}: not written, because its probabilities differ from torch's by "
                f"{parity['difference']:.2g} in the {parity['over']} (allowed: {parity['tolerance']:g}); please report "
                "the model's architecture and the installed versions"
            )
        facts = {
            "format": 1,
            "export": form,
            "name": checkpoint.name,
            "sha256": checkpoint.sha256,
            "model": checkpoint.model.model_dump(),
            "preprocess": checkpoint.preprocess.to_dict(),
            "training": checkpoint.training,
            "precision": precision,
            **_interface(checkpoint, precision),
            "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(new.iterdir())},
            "parity": {"torch": torch.__version__, **parity},
        }
        (new / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts


def _parity(checkpoint: Checkpoint, engine: Engine) -> dict:
    """Measure how closely an engine follows torch in float32: in the worst pixel, or for int8 in the mean."""
    if engine.precision != "int8":
        return {"difference": _largest_difference(checkpoint, engine), "tolerance": TOLERANCE, "over": "worst pixel"}
    x = scenes(checkpoint)
    with torch.inference_mode():
        expected = Graph(checkpoint.network)(torch.from_numpy(x))[0].numpy()
    difference = float(np.abs(engine(x).defocus - expected).mean())
    return {"difference": difference, "tolerance": AGREEMENT["int8"], "over": "mean over rendered scenes"}


def _largest_difference(checkpoint: Checkpoint, engine: Engine) -> float:
    """Return the largest difference of any probability from torch's in float32, over noise and edge cases."""
    graph, largest = Graph(checkpoint.network), [0.0]
    for photos in _probes(checkpoint.preprocess.size):
        x = checkpoint.preprocess.normalise(photos)
        with torch.inference_mode():
            expected = graph(torch.from_numpy(x))
        for got, wanted in zip(engine(x), expected, strict=True):
            if got.shape != tuple(wanted.shape):
                return float("inf")
            largest.append(np.abs(got - wanted.numpy()).max())
    return float(np.max(largest))  # NaN if any difference is NaN


def _probes(size: int) -> list[np.ndarray]:
    """Return batches of uint8 photos: noise; black, white, an edge and a ramp together; noise of another size."""
    random = np.random.default_rng(0)
    black = np.zeros((size, size, 3), np.uint8)
    edge, ramp = black.copy(), black.copy()
    edge[:, size // 2 :] = 255
    ramp[:] = np.linspace(0, 255, size)[:, None, None]
    noise, wide = (random.integers(0, 256, (1, size, width, 3), dtype=np.uint8) for width in (size, size + 32))
    return [noise, np.stack([black, black + 255, edge, ramp]), wide]


def _write(graph: bytes, form: str, folder: Path) -> Path:
    """Write an ONNX file in an export format; return the file that its runtime opens."""
    if form == "onnx":
        path = folder / "model.onnx"
        path.write_bytes(graph)
        return path
    openvino = package("openvino")
    openvino.save_model(openvino_core(openvino).read_model(graph), folder / "model.xml", compress_to_fp16=False)
    return folder / "model.xml"


def _interface(checkpoint: Checkpoint, precision: str) -> dict:
    """Return `INTERFACE`; for int8, with the only height and width that the graph accepts."""
    if precision != "int8":
        return INTERFACE
    size = checkpoint.preprocess.size
    return INTERFACE | {"input": INTERFACE["input"] | {"shape": ["batch", 3, size, size]}}


def _check_free(folder: Path, form: str) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        facts = strict_json.parse_object(read_regular(folder / FACTS, strict_json.MOST_BYTES))
    except (OSError, ValueError):
        facts = {}
    older, files = facts.get("export"), facts.get("files")
    ours = {FACTS, *(files if isinstance(files, dict) else {})}
    if older == form and (why := would_delete(folder, ours, "the export")):
        raise ExportError(why)
    if older != form:
        what = f"an export for {older}" if older else f"not an export for {form}"
        raise ExportError(f"{folder} exists and is {what}: choose another folder, or move this one away")
