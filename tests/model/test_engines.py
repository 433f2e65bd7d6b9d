"""One contract for every engine: torch's probabilities, whichever engine runs the network."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from r2mrf import Predictor
from r2mrf.engine_names import ENGINES
from r2mrf.engines import choose, onnx_graph
from r2mrf.engines.choose import create, fastest
from r2mrf.engines.onnx_graph import Graph, GraphError, to_onnx
from r2mrf.engines.runtimes import Engine, EngineError, Probabilities
from r2mrf.errors import UserError
from r2mrf.network import checkpoint, precision
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.system import missing
from r2mrf.system.machine import cores
from tests.support.model import SIDE, decided

ROOT = Path(__file__).parents[2]
# Of a probability, from torch's in fp32. Networks here are untrained, and decided to the utmost: bf16 moves single
# pixels by up to 0.12. tests/model/test_released_weights.py holds what it does to the released weights' maps.
TOLERANCE = {"fp32": 1e-4, "bf16": 0.2}
MEAN_TOLERANCE = {"fp32": 1e-5, "bf16": 0.02}
FORMATS = [("torch", "fp32"), ("openvino", "fp32"), ("onnx", "fp32"), ("torch", "bf16"), ("openvino", "bf16")]
PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}


def noise(batch: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (batch, SIDE, SIDE, 3), dtype=np.uint8)


PHOTOS = {
    "one": noise(1),
    "three": noise(3, seed=1),
    "black": np.zeros((1, SIDE, SIDE, 3), np.uint8),
    "white": np.full((1, SIDE, SIDE, 3), 255, np.uint8),
}


@pytest.fixture(autouse=True)
def _threads():
    """Restore torch's number of threads, which belongs to the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def _written_once():
    """Write each network's graph once, however many engines are made of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_graph, "to_onnx", cache(to_onnx))
        yield


@pytest.fixture(scope="module")
def made() -> Checkpoint:
    return decided()


@pytest.fixture(scope="module", params=FORMATS, ids=" ".join)
def engine(request, made) -> Engine:
    """Return every engine in every precision that it has; bf16 is emulated on a processor that does not multiply it."""
    try:
        return create(request.param[0], made, threads=1, precision=request.param[1])
    except EngineError as error:
        assert request.param == ("openvino", "bf16"), error
        assert not precision.native_bfloat16()
        pytest.skip("OpenVINO emulates bfloat16 only where there is AVX-512")


@pytest.fixture(params=[True, False], ids=["native bfloat16", "no bfloat16"])
def processor(request, monkeypatch) -> bool:
    """Simulate a processor that multiplies bfloat16 natively, or an older one."""
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": request.param})
    return request.param


def close(got: np.ndarray, expected: np.ndarray, form: str) -> None:
    """Assert that probabilities agree as closely as the precision allows, at each pixel and in the mean."""
    np.testing.assert_allclose(got, expected, atol=TOLERANCE[form])
    assert np.abs(got - expected).mean() <= MEAN_TOLERANCE[form]


def reference(made: Checkpoint, photos: np.ndarray) -> Probabilities:
    """Return torch's probabilities in float32."""
    graph, x = Graph(made.network), torch.from_numpy(made.preprocess.normalise(photos))
    with torch.inference_mode():
        return Probabilities(*(output.numpy() for output in graph(x)))


# --- the contract ----------------------------------------------------------------------------------------


def test_the_reference_says_something(made):
    defocus = reference(made, PHOTOS["three"]).defocus
    assert defocus.min() < 0.1
    assert defocus.max() > 0.9


@pytest.mark.parametrize("photos", PHOTOS.values(), ids=PHOTOS)
def test_probabilities_are_torchs(engine, made, photos):
    got, expected = engine(made.preprocess.normalise(photos)), reference(made, photos)
    for ours, theirs in zip(got, expected, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, np.float32)
        close(ours, theirs, engine.precision)
    assert got.defocus.shape == (len(photos), SIDE, SIDE)
    assert got.steps.shape == (len(photos), 3, SIDE // 4, SIDE // 4)


def test_batches_of_any_size_one_after_the_other(engine, made):
    for batch in (3, 1, 2):
        x = made.preprocess.normalise(noise(batch))
        close(engine(x).defocus[0], engine(x[:1]).defocus[0], engine.precision)


def test_memory_layout_changes_nothing(engine, made):
    x = made.preprocess.normalise(PHOTOS["three"])
    expected = engine(np.ascontiguousarray(x)).defocus
    np.testing.assert_allclose(engine(np.asfortranarray(x)).defocus, expected, atol=1e-5)
    np.testing.assert_allclose(engine(x).defocus, expected, atol=1e-5)


def test_returned_arrays_are_not_overwritten(engine, made):
    first = engine(made.preprocess.normalise(noise(1)))
    copies = [output.copy() for output in first]
    engine(made.preprocess.normalise(noise(1, seed=9)))
    for output, copy in zip(first, copies, strict=True):
        np.testing.assert_array_equal(output, copy)


def test_map_and_confidence_of_a_photo(engine, made):
    rgb = np.random.default_rng(2).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    expected, got = Predictor(made).analyse(rgb), Predictor(made, engine).analyse(rgb)
    close(got.defocus, expected.defocus, engine.precision)
    assert got.confidence == pytest.approx(expected.confidence, abs=MEAN_TOLERANCE[engine.precision])


ARCHITECTURES = [
    {"steps": 0, "grid_stride": 2},
    {"steps": 1, "rrm": False, "fusion_relu": True},
    {"steps": 4, "share_steps": False},
]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
@pytest.mark.parametrize("name", PACKAGES)
def test_every_architecture(name, architecture):
    other = decided(**architecture)
    got, expected = create(name, other)(other.preprocess.normalise(PHOTOS["one"])), reference(other, PHOTOS["one"])
    assert got.steps.shape[1] == min(architecture["steps"] + 1, 3)
    for ours, theirs in zip(got, expected, strict=True):
        close(ours, theirs, "fp32")


# --- what an engine is given -----------------------------------------------------------------------------


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
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
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


def test_a_gpu_decides_for_torch_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(choose, "native_bfloat16", lambda device="cpu": device == "cuda")
    bf16 = [name for name, form in choose._candidates("auto", "auto") if form == "bf16"]
    assert bf16 == ["torch"]


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


# --- auto ------------------------------------------------------------------------------------------------


def pretend(monkeypatch, **seconds: float) -> None:
    """Let the engines take these times for a batch: torch=1.0 in fp32, torch_bf16=0.5."""
    times = {name.replace("_", " ") if "_" in name else f"{name} fp32": [time] for name, time in seconds.items()}
    monkeypatch.setattr(choose, "_time", lambda tried, x, rounds: {name: times[name] for name in tried})


def test_auto_measures_and_says_what(made, caplog):
    with caplog.at_level("INFO"):
        engine = create("auto", made, threads=1)
    assert engine.name in ENGINES
    assert caplog.messages[0].startswith(f"engine: {engine.name} fp32 (photos/s: ")
    for name in ENGINES:
        assert f"{name} fp32 " in caplog.messages[0]


@pytest.mark.parametrize("form", ["fp32", "bf16"])
def test_auto_keeps_to_the_precision_asked_for(made, monkeypatch, processor, form):
    pretend(monkeypatch, torch=0.1, openvino=1.0, onnx=1.0, torch_bf16=0.1, openvino_bf16=1.0)
    monkeypatch.setitem(choose.AGREEMENT, "bf16", 1)  # this network is no real one
    assert create("auto", made, precision=form).precision == form


def test_precision_auto_takes_bf16_where_it_is_native_faster_and_agrees(made, monkeypatch, processor):
    pretend(monkeypatch, torch=1.0, torch_bf16=0.5)
    monkeypatch.setitem(choose.AGREEMENT, "bf16", 1)
    assert create("torch", made, precision="auto").precision == ("bf16" if processor else "fp32")
    monkeypatch.setitem(choose.AGREEMENT, "bf16", 0)
    assert create("torch", made, precision="auto").precision == "fp32"
    monkeypatch.setitem(choose.AGREEMENT, "bf16", 1)
    pretend(monkeypatch, torch=0.5, torch_bf16=1.0)
    assert create("torch", made, precision="auto").precision == "fp32"


def test_precision_auto_of_an_engine_that_has_one(made, processor):
    assert create("onnx", made, precision="auto").precision == "fp32"


def test_trial(made):
    trial = fastest(made, threads=1, batch=2, rounds=2)
    assert set(trial.rates) == {f"{name} fp32" for name in ENGINES}
    assert list(trial.rates.values()) == sorted(trial.rates.values(), reverse=True)
    assert min(trial.rates.values()) > 0
    assert trial.rates[f"{trial.engine.name} fp32"] >= max(trial.rates.values()) / choose.TIE
    assert trial.refused == {}


def test_the_fastest_is_taken(made, monkeypatch):
    pretend(monkeypatch, torch=1.0, openvino=0.5, onnx=0.8)
    trial = fastest(made, batch=4)
    assert trial.engine.name == "openvino"
    assert str(trial) == "openvino fp32 (photos/s: openvino fp32 8.0, onnx fp32 5.0, torch fp32 4.0)"


def test_equals_go_by_order(made, monkeypatch):
    pretend(monkeypatch, torch=1.0, openvino=0.97, onnx=0.96)
    assert fastest(made).engine.name == "torch"


def test_trial_without_an_engine(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    pretend(monkeypatch, torch=1.0, openvino=2.0)
    trial = fastest(made)
    assert trial.engine.name == "torch"
    assert "pip install onnxruntime" in trial.refused["onnx fp32"]
    assert str(trial).endswith("; without onnx fp32)")


def test_trial_of_an_engine_that_this_machine_cannot_run(made, monkeypatch):
    def broken(*_):
        raise RuntimeError("no plugin\nfor this processor")

    monkeypatch.setitem(choose.RUNTIMES, "openvino", broken)
    trial = fastest(made)
    assert trial.engine.name in ("torch", "onnx")
    assert trial.refused == {"openvino fp32": "no plugin for this processor"}


def test_fast_but_wrong(made, monkeypatch):
    right = create("torch", made)

    class Wrong:
        name, precision = "openvino", "fp32"

        def __call__(self, x):
            return Probabilities(*(1 - output for output in right(x)))

    monkeypatch.setitem(choose.RUNTIMES, "openvino", lambda *_: Wrong())
    pretend(monkeypatch, torch=1.0, openvino=0.1, onnx=0.8)
    trial = fastest(made)
    assert trial.engine.name == "onnx"
    assert trial.refused == {"openvino fp32": "its maps are not those of torch in fp32"}


def test_no_engine_is_left(made, monkeypatch):
    monkeypatch.setitem(choose.AGREEMENT, "fp32", -1)
    with pytest.raises(EngineError, match=r"no engine is left: torch fp32: its maps are not those .*; onnx fp32: "):
        fastest(made)


@pytest.mark.parametrize("name", [*ENGINES, "auto"])
def test_spoilt_weights(name):
    spoilt = decided()
    with torch.no_grad():
        spoilt.network.fusion.bias.fill_(float("nan"))
    with pytest.raises(UserError, match="some of its weights are not finite numbers"):
        create(name, spoilt)
