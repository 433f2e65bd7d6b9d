"""The network that the tests of this folder share, its graph, and processors with and without bfloat16."""

from functools import cache

import pytest
import torch

from r2mrf.engines import onnx_graph
from r2mrf.engines.onnx_graph import to_onnx
from r2mrf.network.checkpoint import Checkpoint
from tests.support.model import decided


@pytest.fixture(autouse=True)
def _threads():
    """Restore torch's number of threads, which belongs to the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package", autouse=True)
def _written_once():
    """Write each network's graph once, however many engines are made of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_graph, "to_onnx", cache(to_onnx))
        yield


@pytest.fixture(scope="package")
def made() -> Checkpoint:
    return decided()


@pytest.fixture(params=[True, False], ids=["native bfloat16", "no bfloat16"])
def processor(request, monkeypatch) -> bool:
    """Simulate a processor that multiplies bfloat16 natively, or an older one."""
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": request.param})
    return request.param
