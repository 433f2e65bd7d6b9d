"""Runs the network with torch itself, on a GPU if there is one."""

from __future__ import annotations

import numpy as np
import torch

from r2mrf.engines.fold import for_inference
from r2mrf.engines.onnx_graph import Graph
from r2mrf.engines.runtimes import EngineError, Probabilities
from r2mrf.network.model import R2MRF
from r2mrf.network.precision import autocast


class Torch:
    """Runs a copy of the network prepared for inference, under autocast."""

    name = "torch"

    def __init__(self, network: R2MRF, threads: int | None = None, precision: str = "fp32"):
        if precision == "int8":
            raise EngineError("torch does not calculate in int8: use the engine openvino, or another precision")
        if threads:
            torch.set_num_threads(threads)  # applies to the whole process: torch has one thread pool
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.precision = precision
        self.graph = Graph(for_inference(network).to(self.device))

    @torch.inference_mode()
    def __call__(self, x: np.ndarray) -> Probabilities:
        with autocast(self.precision, self.device):
            outputs = self.graph(torch.from_numpy(x).to(self.device))
        return Probabilities(*(output.cpu().numpy() for output in outputs))
