"""Writes the network as one graph, which every engine runs and every export holds."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from r2mrf.engines.fold import for_inference
from r2mrf.engines.runtimes import INPUT, OUTPUTS, WEIGHTS_HASH, EngineError
from r2mrf.errors import UserError, one_line
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model import R2MRF

AGREEMENT_STEPS = 3  # last recurrent steps whose agreement makes the confidence
OPSET = 18  # of ONNX 1.13, 2022: older runtimes read it too


class GraphError(UserError):
    """The graph cannot be written; the message says why, and what to do."""


class Graph(nn.Module):
    """Turns normalised photos B×3×H×W into probabilities of defocus, float32.

    They are `defocus`, B×H×W, and `steps`, B×K×h×w: the maps of the last K recurrent steps on the network's grid,
    K = `AGREEMENT_STEPS` or fewer.
    """

    def __init__(self, network: R2MRF):
        super().__init__()
        self.network = network.eval().to(memory_format=torch.channels_last)

    def forward(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        """Return (`defocus`, `steps`)."""
        outputs = self.network(photos)
        steps = [self.network.fuse(sides) for sides in outputs.sides[-AGREEMENT_STEPS:]]
        return outputs.fused.float().sigmoid()[:, 0], torch.cat(steps, dim=1).float().sigmoid()


def to_onnx(network: R2MRF, folded: bool = True, size: int | None = None) -> bytes:
    """Write the graph as an ONNX file. Batch, height and width are free; height and width at least 32.

    Args:
        folded: write the network `for_inference`, and compute beforehand what depends on weights alone. If not, the
            graph holds the weights of the network itself, by their names.
        size: fix height and width to it.

    Raises:
        GraphError: the package onnx is missing, or ONNX has no operator for something that the network does.
    """
    if importlib.util.find_spec("onnx") is None:
        raise GraphError("ONNX files cannot be written here: `pip install onnx`, or use the engine torch")
    sizes = {
        INPUT: {0: "batch", 2: "height", 3: "width"},
        OUTPUTS[0]: {0: "batch", 1: "height", 2: "width"},
        OUTPUTS[1]: {0: "batch", 2: "rows", 3: "columns"},
    }
    if size:
        sizes = {name: {0: "batch"} for name in sizes}
    names: dict[str, Any] = {"input_names": [INPUT], "output_names": list(OUTPUTS), "dynamic_axes": sizes}
    # EVAL would fold the normalisation whatever it is asked
    mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    options: dict[str, Any] = {"training": mode, "do_constant_folding": folded, "opset_version": OPSET}
    graph, example = Graph(for_inference(network) if folded else network), torch.zeros(1, 3, size or 64, size or 64)
    file: Any = io.BytesIO()  # torch takes it; its types know of paths only
    try:
        with warnings.catch_warnings():
            # the exporter that torch calls legacy takes two seconds; the newer one, half a minute
            warnings.simplefilter("ignore")
            torch.onnx.export(graph, (example,), file, dynamo=False, **options, **names)
    except torch.onnx.errors.OnnxExporterError as error:
        cause = one_line(error)
        raise GraphError(f"the network cannot be written as ONNX ({cause}): use the engine torch") from None
    return file.getvalue()


def graph_for(checkpoint: Checkpoint, precision: str) -> bytes:
    """Return the ONNX file that the engines other than torch run.

    Raises:
        EngineError: int8 is asked for, and the model has no int8 form.
        GraphError: the network cannot be written as ONNX.
    """
    if precision != "int8":
        return to_onnx(checkpoint.network)
    if not checkpoint.int8:
        raise EngineError(
            f"{checkpoint.name} has no int8 form, or one of other weights: make it with "
            "`r2mrf export --precision int8 --calibrate PHOTOS --model MODEL`, PHOTOS being a folder of photographs"
        )
    return checkpoint.int8


def without_weights(network: R2MRF, weights: bytes, beside: str) -> bytes:
    """Write the graph as an ONNX file without weights, which says where in a safetensors file each of them lies.

    Args:
        weights: content of the safetensors file.
        beside: its name; the graph must lie in the same folder.

    Raises:
        GraphError: see `to_onnx`; or the file holds other weights than the network.
    """
    graph = to_onnx(network.eval(), folded=False)
    import onnx  # is there, as `to_onnx` has seen
    from onnx.external_data_helper import set_external_data

    model = onnx.load_from_string(graph)
    head = int.from_bytes(weights[:8], "little")  # a safetensors file: length of the header, header, numbers
    places = json.loads(weights[8 : 8 + head])
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix("network.")
        start, end = (8 + head + place for place in places.get(name, {"data_offsets": (0, 0)})["data_offsets"])
        if tensor.raw_data != weights[start:end]:
            raise GraphError(f"{beside} does not hold the network's {name}: save the network anew")
        set_external_data(tensor, beside, offset=start, length=end - start)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
    for node in model.graph.node:
        node.ClearField("name")  # nobody reads them, and they are a third of the file
    onnx.helper.set_model_props(model, {WEIGHTS_HASH: hashlib.sha256(weights).hexdigest()})
    return model.SerializeToString(deterministic=True)
