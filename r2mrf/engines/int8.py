"""Makes a model's int8 form, which OpenVINO runs about twice as fast as fp32 on processors with VNNI.

    photos = calibration_photos(Path("photos"), checkpoint.preprocess)
    form = quantise(checkpoint, photos)         # needs the package nncf; running the form does not
    store(folder, form)                         # int8.onnx, and its facts in model.json

NNCF rounds weights and activations to 8 bits after training. Rounding makes the maps greyer, so the logits are scaled
and shifted to bring the maps back to those of fp32. Some of the photos set the ranges of the activations, the others
the scale and the shift. No masks are used, and no photos that the model is evaluated on.
"""

from __future__ import annotations

import hashlib
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
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model_folder import INT8, amend
from r2mrf.system.atomic import atomic_file

MOST_PHOTOS, FEWEST_PHOTOS = 144, 6  # more photos add minutes and change little
EVERY = 3  # every third photo sets the scale and shift, the others the ranges
LARGEST_DIFFERENCE = 0.05  # mean difference of the maps from fp32; a larger one means that something went wrong
LOGIT = 15.0  # logit of a probability that float32 cannot tell from 1


@dataclass(frozen=True)
class Int8:
    """A model's int8 form.

    Attributes:
        graph: an ONNX file, for photos of the model's input size.
        logit_scale, logit_shift: the graph multiplies its logits by the first and then adds the second.
        photos: number of photos that it was calibrated on.
        difference: mean |P - P of fp32| over the photos that set the scale and shift.
    """

    graph: bytes
    logit_scale: float
    logit_shift: float
    photos: int
    difference: float
    nncf: str

    def facts(self) -> dict[str, Any]:
        """Return the facts that model.json stores: all fields but the graph, which is replaced by its SHA-256."""
        facts = asdict(self)
        return {"sha256": hashlib.sha256(facts.pop("graph")).hexdigest(), **facts}


def calibration_photos(folder: Path, preprocess: Preprocess) -> list[np.ndarray]:
    """Read up to `MOST_PHOTOS` photos below a folder, evenly spaced by name, as normalised 1×3×S×S.

    Raises:
        UserError: too few photos can be read.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in images.SUFFIXES)
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, min(len(files), MOST_PHOTOS)).astype(int)]
    photos = []
    for file in chosen:
        try:
            rgb = images.load(file)
        except images.ImageError:
            continue  # enough others may be left; if not, the error below says so
        photos.append(np.ascontiguousarray(preprocess.normalise(preprocess.shrink(rgb)[None])))
    if len(photos) < FEWEST_PHOTOS:
        raise UserError(
            f"{folder}: only {len(photos)} photos can be read there, and calibration needs at least {FEWEST_PHOTOS}, "
            f"better {MOST_PHOTOS}: give a folder of photos like those that will be scored"
        )
    return photos


def quantise(checkpoint: Checkpoint, photos: list[np.ndarray]) -> Int8:
    """Make the int8 form, calibrated on photos, normalised 1×3×S×S.

    Raises:
        EngineError: nncf or ONNX Runtime is not installed.
        UserError: its maps differ too much from those of fp32.
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
            f"{checkpoint.name}: its int8 maps differ from its fp32 maps by {difference:.2g} on average (allowed: "
            f"{LARGEST_DIFFERENCE:g}): calibrate on more or other photos, or use bf16"
        )
    return Int8(graph, scale, shift, len(photos), difference, version)


def store(folder: Path, form: Int8) -> None:
    """Store the int8 form with its model: first the graph in a file of its own, then its facts in model.json."""
    with atomic_file(folder / INT8) as file:
        file.write_bytes(form.graph)
    amend(folder, {"int8": form.facts()})


def fit_logits(rounded: np.ndarray, expected: np.ndarray, steps: int = 25) -> tuple[float, float]:
    """Find the scale and shift of the logits that bring the first maps closest to the second, in cross-entropy.

    Args:
        rounded, expected: probabilities of the same shape.
        steps: of Newton's method, which converges because the problem is convex.
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
    """Quantise a graph; return it and the version of NNCF."""
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns where there is no CUDA
    nncf, onnx = package("nncf"), package("onnx")
    ranges = package("nncf.quantization.range_estimator").RangeEstimatorParametersSet
    nncf.set_log_level(logging.ERROR)
    model = onnx.load_from_string(_simplified(graph))
    main = [opset for opset in model.opset_import if not opset.domain]
    del model.opset_import[:]
    model.opset_import.extend(main)
    data = nncf.Dataset(photos, lambda photo: {INPUT: photo})
    # By default NNCF uses 7 bits in the first layer, to keep 16-bit sums from overflowing on processors without VNNI;
    # this caused most of the difference from fp32. It also clips values beyond an average photo's range. Here no
    # photo's range is clipped, which makes the maps less grey.
    advanced = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.DISABLE,
        activations_range_estimator_params=ranges.MINMAX,
    )
    quantised = nncf.quantize(
        model,
        data,
        preset=nncf.QuantizationPreset.MIXED,  # activations that are never negative use all 256 values
        subset_size=len(photos),
        advanced_parameters=advanced,
    )
    return quantised.SerializeToString(deterministic=True), nncf.__version__


def _simplified(graph: bytes) -> bytes:
    """Let ONNX Runtime fold constants, because NNCF does not support some of the operators that compute them."""
    runtime = package("onnxruntime")
    with tempfile.TemporaryDirectory() as scratch:
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = f"{scratch}/simple.onnx"
        options.log_severity_level = 3
        runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return Path(options.optimized_model_filepath).read_bytes()


def _with_logits(graph: bytes, scale: float, shift: float) -> bytes:
    """Insert a multiplication and an addition before each sigmoid of an ONNX file, and drop the names of its nodes."""
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
