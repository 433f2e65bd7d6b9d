"""Running time: a row for every profile, engine, thread count and size; what cannot be run says why."""

import csv
from pathlib import Path

import pytest
import torch

from pipelines.jobs import timing
from pipelines.jobs.timing import TABLE
from r2mrf.config import Config, load
from r2mrf.engines.runtimes import EngineError
from r2mrf.errors import UserError

PARAMS = Path(__file__).parents[2] / "params.yaml"
TINY = {"backbone": "tf_efficientnet_lite0", "amdf_width": 4, "width": 2, "steps": 1, "input_size": 64}


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    values = load(PARAMS).model_dump()
    for profile in ("lite", "paper"):
        values[profile]["model"] |= TINY
        values[profile]["train"]["crop"] = 64
    yield Config.model_validate(values)
    torch.set_num_threads(threads)


def rows() -> list[dict]:
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_every_combination(config, capsys, monkeypatch):
    monkeypatch.setattr(timing, "provenance", lambda: {"git_commit": "0123abc"})
    timing.timing(config, ["64x48", "100x200"], [1], rounds=1)
    found = rows()
    assert len(found) == 2 * 3 * 2
    assert len({(row["profile"], row["engine"], row["size"]) for row in found}) == len(found)
    assert all(float(row["seconds"]) > 0 for row in found)
    assert all(int(row["parameters"]) > 0 and float(row["gmacs"]) > 0 and row["machine"] for row in found)
    assert {row["commit"] for row in found} == {"0123abc"}
    assert "engine torch" in capsys.readouterr().out


def test_an_engine_that_is_not_there_says_so(config, monkeypatch):
    def create(name, checkpoint, threads):
        if name == "onnx":
            raise EngineError("onnxruntime cannot be loaded")
        return real(name, checkpoint, threads)

    real = timing.create
    monkeypatch.setattr(timing, "create", create)
    timing.timing(config, ["64x48"], [1], rounds=1)
    notes = {row["engine"]: (row["seconds"], row["note"]) for row in rows()}
    assert notes["onnx"] == ("", "onnxruntime cannot be loaded")
    assert notes["torch"][1] == ""


def test_a_size_that_is_none(config):
    with pytest.raises(UserError, match="--sizes 640: give WIDTHxHEIGHT"):
        timing.timing(config, ["640"], [1], rounds=1)


@pytest.mark.parametrize(("sizes", "threads", "rounds"), [(["0x9"], [1], 1), (["64x48"], [0], 1), (["64x48"], [1], 0)])
def test_numbers_that_are_none(config, sizes, threads, rounds):
    with pytest.raises(UserError, match="give "):
        timing.timing(config, sizes, threads, rounds)
