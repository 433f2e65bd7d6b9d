"""The network as the one graph that every engine runs and that an export holds."""

from __future__ import annotations

import importlib.util
import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from r2mrf.errors import UserError
from r2mrf.model import R2MRF
from r2mrf.runtimes import INPUT, OUTPUTS

AGREEMENT_STEPS = 3  # last recurrent steps whose agreement makes the confidence
OPSET = 18  # of ONNX 1.13, 2022: older runtimes read it too


class GraphError(UserError):
    """The graph cannot be written; the message says why, and what to do."""


class Graph(nn.Module):
    """Normalised photos B×3×H×W -> probabilities of defocus, in float32: `defocus` B×H×W, and `steps` B×K×h×w,
    what the last K recurrent steps say on the grid, K = `AGREEMENT_STEPS` or fewer."""

    def __init__(self, network: R2MRF):
        super().__init__()
        self.network = network.eval().to(memory_format=torch.channels_last)

    def forward(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        """(`defocus`, `steps`), as above."""
        outputs = self.network(photos)
        steps = [self.network.fuse(sides) for sides in outputs.sides[-AGREEMENT_STEPS:]]
        return outputs.fused.float().sigmoid()[:, 0], torch.cat(steps, dim=1).float().sigmoid()


def to_onnx(network: R2MRF) -> bytes:
    """The graph as an ONNX file. Batch, height and width are free; height and width at least 32.

    Raises:
        GraphError: the package onnx is missing, or the network does what ONNX has no word for.
    """
    if importlib.util.find_spec("onnx") is None:
        raise GraphError("ONNX files cannot be written here: `pip install onnx`, or use the engine torch")
    sizes = {
        INPUT: {0: "batch", 2: "height", 3: "width"},
        OUTPUTS[0]: {0: "batch", 1: "height", 2: "width"},
        OUTPUTS[1]: {0: "batch", 2: "rows", 3: "columns"},
    }
    names: dict[str, Any] = {"input_names": [INPUT], "output_names": list(OUTPUTS), "dynamic_axes": sizes}
    example = torch.zeros(1, 3, 64, 64)
    file: Any = io.BytesIO()  # torch takes it; its types know of paths only
    try:
        with warnings.catch_warnings():
            # the exporter that torch calls legacy takes two seconds; the newer one, half a minute
            warnings.simplefilter("ignore")
            torch.onnx.export(Graph(network), (example,), file, dynamo=False, opset_version=OPSET, **names)
    except torch.onnx.errors.OnnxExporterError as error:
        cause = " ".join(str(error).split())[:200]
        raise GraphError(f"the network cannot be written as ONNX ({cause}): use the engine torch") from None
    return file.getvalue()
