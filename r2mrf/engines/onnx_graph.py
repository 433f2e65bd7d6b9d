"""Writes the network as one ONNX graph, which every engine but torch runs and every export contains."""

from __future__ import annotations

import hashlib
import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from r2mrf.engines.fold import for_inference
from r2mrf.engines.runtimes import INPUT, OUTPUTS, WEIGHTS_HASH, EngineError
from r2mrf.errors import UserError, one_line
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model import R2MRF
from r2mrf.system import missing, strict_json

AGREEMENT_STEPS = 3  # number of last recurrent steps from whose agreement the confidence is computed
OPSET = 18  # introduced by ONNX 1.13 in 2022, so that older runtimes can read it too


class GraphError(UserError):
    """The graph cannot be written. The message says why and what to do."""


class Graph(nn.Module):
    """Maps normalised photos B×3×H×W to probabilities of defocus, float32.

    `defocus` is B×H×W. `steps` is B×K×h×w: the maps of the last K recurrent steps on the network's grid, where K is
    `AGREEMENT_STEPS` or fewer.
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
    """Write the graph as an ONNX file for any batch size and, unless `size` is given, any height and width from 32.

    Args:
        folded: write the network `for_inference`, with constants computed beforehand. If False, the graph holds the
            network's own weights under their names.
        size: fixed height and width.

    Raises:
        GraphError: the package onnx is missing, or ONNX has no operator for one of the network's operations.
    """
    if missing.is_missing("onnx"):
        raise GraphError(f"{missing.sentence('an ONNX graph', 'onnx')}, or use the engine torch")
    sizes = {
        INPUT: {0: "batch", 2: "height", 3: "width"},
        OUTPUTS[0]: {0: "batch", 1: "height", 2: "width"},
        OUTPUTS[1]: {0: "batch", 2: "rows", 3: "columns"},
    }
    if size:
        sizes = {name: {0: "batch"} for name in sizes}
    names: dict[str, Any] = {"input_names": [INPUT], "output_names": list(OUTPUTS), "dynamic_axes": sizes}
    # EVAL would fold the normalisation even if do_constant_folding is off
    mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    options: dict[str, Any] = {"training": mode, "do_constant_folding": folded, "opset_version": OPSET}
    graph, example = Graph(for_inference(network) if folded else network), torch.zeros(1, 3, size or 64, size or 64)
    file: Any = io.BytesIO()  # torch accepts it, although its type hints allow paths only
    try:
        with warnings.catch_warnings():
            # the exporter that torch calls legacy takes two seconds, the newer one half a minute
            warnings.simplefilter("ignore")
            torch.onnx.export(graph, (example,), file, dynamo=False, **options, **names)
    except torch.onnx.errors.OnnxExporterError as error:
        cause = one_line(error)
        raise GraphError(f"the network cannot be written as ONNX ({cause}): use the engine torch") from None
    return file.getvalue()


def graph_for(checkpoint: Checkpoint, precision: str) -> bytes:
    """Return the ONNX file that the engines other than torch run.

    Raises:
        EngineError: int8 was asked for, but the model has no int8 form.
        GraphError: the network cannot be written as ONNX.
    """
    if precision != "int8":
        return to_onnx(checkpoint.network)
    if not checkpoint.int8:
        raise EngineError(
            f"{checkpoint.name} has no int8 form, or one that is damaged or belongs to other weights: make it with "
            "`r2mrf export --precision int8 --calibrate PHOTOS --model MODEL`, where PHOTOS is a folder of photographs"
        )
    return checkpoint.int8


def without_weights(network: R2MRF, weights: bytes, beside: str) -> bytes:
    """Write the graph as an ONNX file without weights; it refers to each weight's place in a safetensors file.

    Args:
        weights: content of the safetensors file.
        beside: name of the safetensors file; the graph must be in the same folder.

    Raises:
        GraphError: see `to_onnx`; or the safetensors file holds other weights than the network.
    """
    graph = to_onnx(network.eval(), folded=False)
    import onnx  # installed: `to_onnx` has checked
    from onnx.external_data_helper import set_external_data

    model = onnx.load_from_string(graph)
    head = int.from_bytes(weights[:8], "little")  # safetensors: length of the header, header, data
    places = strict_json.parse_object(weights[8 : 8 + head])
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix("network.")
        start, end = (8 + head + place for place in places.get(name, {"data_offsets": (0, 0)})["data_offsets"])
        if tensor.raw_data != weights[start:end]:
            raise GraphError(f"{beside} does not hold the network's {name}: save the network anew")
        set_external_data(tensor, beside, offset=start, length=end - start)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
    for node in model.graph.node:
        node.ClearField("name")  # nothing reads the names, and they make up a third of the file
    onnx.helper.set_model_props(model, {WEIGHTS_HASH: hashlib.sha256(weights).hexdigest()})
    return model.SerializeToString(deterministic=True)
