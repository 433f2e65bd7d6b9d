"""Makes a model's int8 form, which OpenVINO runs about twice as fast as fp32 where the processor has VNNI.

    photos = calibration_photos(Path("photos"), checkpoint.preprocess)
    form = quantise(checkpoint, photos)         # needs the package nncf; running the form does not
    store(folder, form)                         # int8.onnx, and its facts in model.json

Weights and activations are rounded to 8 bits (NNCF, post-training). Rounding makes the maps greyer, so a scale and a
shift of the logits bring them back to those of fp32. Some of the photos set the ranges of the activations, the others
the scale and the shift; neither masks nor photos that judge the model play a part.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from r2mrf.engines.onnx_graph import to_onnx
from r2mrf.engines.runtimes import INPUT, OnnxRuntime, package
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network.checkpoint import FACTS, INT8, Checkpoint
from r2mrf.system.atomic import atomic_file

MOST_PHOTOS, FEWEST_PHOTOS = 144, 6  # more than the most add minutes and change little
EVERY = 3  # each third photo sets scale and shift, the others the ranges
LARGEST_DIFFERENCE = 0.05  # of maps from fp32's, in the mean; beyond, something has gone wrong
LOGIT = 15.0  # of a probability that float32 cannot tell from 0 or 1


@dataclass(frozen=True)
class Int8:
    """A model's int8 form.

    Attributes:
        graph: an ONNX file, for photos of the model's input size.
        logit_scale, logit_shift: what the logits are multiplied by, and what is then added; the graph does both.
        photos: how many it was made from.
        difference: mean |P - P of fp32| over the photos that set scale and shift.
    """

    graph: bytes
    logit_scale: float
    logit_shift: float
    photos: int
    difference: float
    nncf: str

    def facts(self) -> dict[str, Any]:
        """Return what model.json says of it, without the graph but with its SHA-256."""
        facts = asdict(self)
        return {"sha256": hashlib.sha256(facts.pop("graph")).hexdigest(), **facts}


def calibration_photos(folder: Path, preprocess: Preprocess) -> list[np.ndarray]:
    """Read up to `MOST_PHOTOS` photos below a folder, evenly spread over their names, as normalised 1×3×S×S.

    Raises:
        UserError: there are too few photos that can be read.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in images.SUFFIXES)
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, min(len(files), MOST_PHOTOS)).astype(int)]
    photos = []
    for file in chosen:
        try:
            rgb = images.load(file)
        except images.ImageError:
            continue  # enough others are left, or the error below says so
        photos.append(np.ascontiguousarray(preprocess.normalise(preprocess.shrink(rgb)[None])))
    if len(photos) < FEWEST_PHOTOS:
        raise UserError(
            f"{folder}: {len(photos)} photos can be read there, and calibration takes at least {FEWEST_PHOTOS}, better "
            f"{MOST_PHOTOS}: give a folder of photos like those that will be scored"
        )
    return photos


def quantise(checkpoint: Checkpoint, photos: list[np.ndarray]) -> Int8:
    """Make the int8 form from photos, normalised 1×3×S×S.

    Raises:
        EngineError: nncf or ONNX Runtime is not installed.
        UserError: the maps differ too much from those of fp32.
    """
    exact = to_onnx(checkpoint.network, size=checkpoint.preprocess.size)
    ranges = [photo for i, photo in enumerate(photos) if i % EVERY]
    judged = photos[::EVERY]
    rounded, version = _rounded(exact, ranges)
    expected = _maps(exact, judged)
    scale, shift = fit_logits(_maps(rounded, judged), expected)
    graph = _with_logits(rounded, scale, shift)
    difference = float(np.abs(_maps(graph, judged) - expected).mean())
    if not difference <= LARGEST_DIFFERENCE:
        raise UserError(
            f"{checkpoint.name}: its maps in int8 differ from those in fp32 by {difference:.2g} in the mean (allowed: "
            f"{LARGEST_DIFFERENCE:g}); calibrate on more and other photos, or use bf16"
        )
    return Int8(graph, scale, shift, len(photos), difference, version)


def store(folder: Path, form: Int8) -> None:
    """Keep the form with its model: the graph in a file of its own, then its facts in model.json."""
    facts = json.loads((folder / FACTS).read_bytes()) | {"int8": form.facts()}
    with atomic_file(folder / INT8) as file:
        file.write_bytes(form.graph)
    with atomic_file(folder / FACTS) as file:
        file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def fit_logits(rounded: np.ndarray, expected: np.ndarray, steps: int = 25) -> tuple[float, float]:
    """Find the scale and shift of logits with which the first maps come closest to the second, in cross-entropy.

    Args:
        rounded, expected: probabilities of the same shape.
        steps: of Newton's method, which converges since the problem is convex.
    """
    z, target = _logits(rounded).ravel(), expected.astype(np.float64).ravel()
    scale, shift = 1.0, 0.0
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(scale * z + shift)))
        error, curvature = p - target, p * (1 - p) + 1e-9
        gradient = np.array([(error * z).mean(), error.mean()])
        cross = (curvature * z).mean()
        step = np.linalg.solve([[(curvature * z * z).mean(), cross], [cross, curvature.mean()]], gradient)
        scale, shift = scale - step[0], shift - step[1]
        if np.abs(step).max() < 1e-6:
            break
    return float(scale), float(shift)


def _rounded(graph: bytes, photos: list[np.ndarray]) -> tuple[bytes, str]:
    """Quantise a graph; returns it, and the version of NNCF."""
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # complains where there is no CUDA
    nncf, onnx = package("nncf", of="int8"), package("onnx")
    ranges = package("nncf.quantization.range_estimator").RangeEstimatorParametersSet
    nncf.set_log_level(logging.ERROR)
    model = onnx.load_from_string(_simplified(graph))
    main = [opset for opset in model.opset_import if not opset.domain]
    del model.opset_import[:]
    model.opset_import.extend(main)
    data = nncf.Dataset(photos, lambda photo: {INPUT: photo})
    # By default NNCF gives the first layer 7 bits, lest 16-bit sums overflow on processors without VNNI: that made most
    # of the difference from fp32. And it cuts off what lies beyond an average photo's range; no photo's range is cut
    # here, which makes the maps less grey.
    advanced = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.DISABLE,
        activations_range_estimator_params=ranges.MINMAX,
    )
    quantised = nncf.quantize(
        model,
        data,
        preset=nncf.QuantizationPreset.MIXED,  # activations that are never negative get all 256 values
        subset_size=len(photos),
        advanced_parameters=advanced,
    )
    return quantised.SerializeToString(deterministic=True), nncf.__version__


def _simplified(graph: bytes) -> bytes:
    """Let ONNX Runtime compute what is constant; NNCF does not know some of the operators that do it."""
    runtime = package("onnxruntime")
    with tempfile.TemporaryDirectory() as scratch:
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = f"{scratch}/simple.onnx"
        options.log_severity_level = 3
        runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return Path(options.optimized_model_filepath).read_bytes()


def _with_logits(graph: bytes, scale: float, shift: float) -> bytes:
    """Put a multiplication and an addition before each sigmoid of an ONNX file, and drop the names of its nodes."""
    onnx = package("onnx")
    model = onnx.load_from_string(graph)
    constants = {"logit_scale": scale, "logit_shift": shift}
    for name, value in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.float32), name))
    nodes = []
    for node in model.graph.node:
        node.ClearField("name")
        if node.op_type == "Sigmoid":
            (logits,), (output,) = node.input, node.output
            nodes.append(onnx.helper.make_node("Mul", [logits, "logit_scale"], [f"{output}_scaled"]))
            nodes.append(onnx.helper.make_node("Add", [f"{output}_scaled", "logit_shift"], [f"{output}_shifted"]))
            node.input[0] = f"{output}_shifted"
        nodes.append(node)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString(deterministic=True)


def _maps(graph: bytes, photos: list[np.ndarray]) -> np.ndarray:
    engine = OnnxRuntime(graph, threads=1)
    return np.concatenate([engine(photo).defocus for photo in photos])


def _logits(p: np.ndarray) -> np.ndarray:
    edge = 1 / (1 + np.exp(LOGIT))
    p = p.astype(np.float64).clip(edge, 1 - edge)
    return np.log(p / (1 - p))
