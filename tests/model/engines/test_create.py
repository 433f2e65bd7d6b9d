"""An engine keeps to its threads, precision and process, and one that is impossible is refused in one line."""

import os
import re
import subprocess
import sys

import pytest
import torch

from r2mrf import Predictor
from r2mrf.engine_names import ENGINES
from r2mrf.engines.choose import create
from r2mrf.engines.onnx_graph import GraphError, to_onnx
from r2mrf.engines.runtimes import EngineError
from r2mrf.errors import UserError
from r2mrf.network import checkpoint
from r2mrf.system import missing
from r2mrf.system.machine import cores
from tests.support.imports import ROOT
from tests.support.model import decided
from tests.support.probabilities import close, noise

PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}


def test_threads_are_kept_to(made):
    create("torch", made, threads=2)
    assert torch.get_num_threads() == 2
    assert create("onnx", made, threads=3).session.get_session_options().intra_op_num_threads == 3
    assert create("openvino", made, threads=1).compiled.get_property("INFERENCE_NUM_THREADS") == 1


def test_without_a_word_as_many_threads_as_torch_has(made):
    torch.set_num_threads(2)
    assert create("onnx", made).session.get_session_options().intra_op_num_threads == 2
    threads = create("openvino", made).compiled.get_property("INFERENCE_NUM_THREADS")
    assert threads == min(2, cores())  # it takes no more than there are
    create("torch", made)
    assert torch.get_num_threads() == 2


def test_processes_do_not_pin_themselves_to_the_same_cores(made):
    assert create("openvino", made).compiled.get_property("ENABLE_CPU_PINNING") is False


SIGNALLED = """
import os, signal, sys
from pathlib import Path
from r2mrf.engines.runtimes import OpenVino

signal.signal(signal.SIGUSR1, lambda *_: print("heard"))
engines = [OpenVino(Path(sys.argv[1]), threads=1) for _ in range(2)]
while engines:
    del engines[0]  # those that came first go first
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_a_signal_is_heard_after_engines_have_come_and_gone(made, tmp_path):
    """Send a signal: without our care, OpenVINO leaves the thread with a freed stack for handlers."""
    (tmp_path / "model.onnx").write_bytes(to_onnx(made.network))
    command = [sys.executable, "-c", SIGNALLED, str(tmp_path / "model.onnx")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


def test_openvino_sends_no_statistics(made):
    create("openvino", made)
    assert sys.modules["openvino_telemetry"] is None


@pytest.mark.parametrize("name", PACKAGES)
def test_missing_package(monkeypatch, made, name):
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    wanted = {"onnx": "onnxruntime", "openvino": "[score]"}[name]
    with pytest.raises(EngineError, match=re.escape(f"`{missing.install(wanted)}`, or use the engine torch")):
        create(name, made)


def test_missing_package_onnx(monkeypatch, made):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(GraphError, match=re.escape(f"`{missing.install('[score]')}`, or use the engine torch")):
        to_onnx(made.network)


def test_an_operation_that_onnx_lacks_is_an_error():
    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.special.i0(x.mean(dim=1, keepdim=True))

    network = decided().network
    network.fusion = Odd()
    with pytest.raises(GraphError, match="cannot be written as ONNX") as caught:
        to_onnx(network)
    assert "\n" not in str(caught.value)


def test_unknown_engine(made):
    with pytest.raises(EngineError, match="no engine 'tensorrt': use one of torch, openvino, onnx, or auto"):
        create("tensorrt", made)


@pytest.mark.parametrize("name", [*ENGINES, "auto"])
@pytest.mark.parametrize("threads", [0, -1])
def test_an_engine_has_at_least_one_thread(made, name, threads):
    with pytest.raises(EngineError, match=f"threads {threads}: give a number from 1, or None"):
        create(name, made, threads=threads)


def test_predictor_by_the_engines_name(tmp_path, made):
    folder = checkpoint.save(tmp_path / "model", made)
    assert Predictor.load(folder).engine.name == "torch"
    predictor = Predictor.load(folder, engine="onnx", threads=1)
    assert predictor.engine.name == "onnx"
    assert isinstance(predictor.network, torch.nn.Module)
    rgb = noise(1)[0]
    close(predictor(rgb), Predictor.load(folder)(rgb), "fp32")


def test_fp32_is_the_default_precision(tmp_path, made, processor):
    folder = checkpoint.save(tmp_path / "model", made)
    assert Predictor.load(folder).engine.precision == "fp32"
    assert create("auto", made).precision == "fp32"
    assert Predictor.load(folder, precision="bf16").engine.precision == "bf16"


def test_onnx_runtime_has_one_precision(made):
    with pytest.raises(EngineError, match="onnx does not calculate in bf16"):
        create("onnx", made, precision="bf16")


@pytest.mark.parametrize("name", [*ENGINES, "auto"])
def test_unknown_precision(made, name):
    with pytest.raises(EngineError, match="no precision 'fp16': use one of fp32, bf16, int8, or auto"):
        create(name, made, precision="fp16")


def test_openvino_on_a_processor_without_avx_512(tmp_path, made):
    """Run in a separate process, since oneDNN asks only once what the processor has."""
    folder = checkpoint.save(tmp_path / "model", made)
    code = (
        "import sys; from r2mrf import Predictor; from r2mrf.errors import UserError\n"
        "load = lambda form: Predictor.load(sys.argv[1], 'openvino', threads=1, precision=form)\n"
        "try: load('bf16')\nexcept UserError as error: print(error)\n"
        "print(load('auto').engine.precision)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    refused = "OpenVINO cannot compute in bf16 on this processor: use the precision fp32"
    assert done.stdout.splitlines() == [refused, "fp32"]


def test_predictor_alone_imports_no_other_engine():
    code = "import sys, r2mrf.prediction.predictor; print(*({'onnx', 'onnxruntime', 'openvino'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", [*ENGINES, "auto"])
def test_spoilt_weights(name):
    spoilt = decided()
    with torch.no_grad():
        spoilt.network.fusion.bias.fill_(float("nan"))
    with pytest.raises(UserError, match="some of its weights are not finite numbers"):
        create(name, spoilt)
