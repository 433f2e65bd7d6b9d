"""`auto` measures all engines, and takes the fastest one whose maps are torch's, in a precision that pays."""

import sys

import pytest
import torch

from r2mrf.engine_names import ENGINES
from r2mrf.engines import choose
from r2mrf.engines.choose import create, fastest
from r2mrf.engines.runtimes import EngineError, Probabilities


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


def test_a_gpu_decides_for_torch_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(choose, "native_bfloat16", lambda device="cpu": device == "cuda")
    bf16 = [name for name, form in choose._candidates("auto", "auto") if form == "bf16"]
    assert bf16 == ["torch"]


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
