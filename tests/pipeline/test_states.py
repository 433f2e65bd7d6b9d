"""States of training runs: found again, told from other runs', and recovered when Ray's list of them is damaged."""

import hashlib
import json

import pytest

from pipelines.states import LIST, States
from r2mrf.errors import UserError
from r2mrf.trainer import FACTS, TENSORS


def write_state(folder, tensors: bytes = b"weights", sha256: str | None = None) -> None:
    folder.mkdir(parents=True)
    (folder / TENSORS).write_bytes(tensors)
    (folder / FACTS).write_text(json.dumps({"tensors_sha256": sha256 or hashlib.sha256(tensors).hexdigest()}))


def test_nothing_there_yet(tmp_path):
    states = States(str(tmp_path / "runs"), "train-1")
    assert states.others() == []
    assert states.recover() is None


def test_a_relative_folder_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert States("runs", "train-1").storage == str(tmp_path / "runs")


def test_other_runs_are_named(tmp_path):
    for name in ("train-3", "train-1", "train-2", "tune-1"):
        (tmp_path / name).mkdir()
    (tmp_path / "train-4").write_text("a file")
    assert States(str(tmp_path), "train-1").others() == ["train-2", "train-3"]


def test_a_sound_list_is_left_to_ray(tmp_path):
    write_state(tmp_path / "train-1/checkpoint_1")
    (tmp_path / "train-1" / LIST).write_text("{}")
    assert States(str(tmp_path), "train-1").recover() is None
    assert (tmp_path / "train-1" / LIST).read_text() == "{}"


@pytest.mark.parametrize("damaged", ["", '{"checkpoint_res'])
def test_the_last_whole_state_of_a_damaged_list(tmp_path, damaged):
    run = tmp_path / "train-1"
    write_state(run / "checkpoint_2026-01-01_1")
    write_state(run / "checkpoint_2026-01-01_2")
    write_state(run / "checkpoint_2026-01-01_3", sha256="of other bytes")
    (run / "checkpoint_2026-01-01_4").mkdir()
    (run / "checkpoint_2026-01-01_5").mkdir()
    (run / "checkpoint_2026-01-01_5" / FACTS).write_text('{"tens')
    (run / LIST).write_text(damaged)
    assert States(str(tmp_path), "train-1").recover() == str(run / "checkpoint_2026-01-01_2")
    assert not (run / LIST).exists()


def test_a_damaged_list_of_nothing(tmp_path):
    (tmp_path / "train-1").mkdir()
    (tmp_path / "train-1" / LIST).write_text("")
    assert States(str(tmp_path), "train-1").recover() is None


def test_an_address_that_is_none():
    with pytest.raises(UserError, match=r"tracking\.states gopher://x: .*s3://bucket/prefix"):
        States("gopher://x", "train-1")
