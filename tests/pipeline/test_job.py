"""Facts that a scoring run depends on: the version that the model's name means, the engine, and their fingerprint."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.scoring import job as jobs
from pipelines.scoring.job import ScoringJob, shares, with_engine, with_recorded_engine
from pipelines.storage.addresses import Addresses
from r2mrf.config import Score
from r2mrf.engines import choose, onnx_graph, remembered
from r2mrf.errors import UserError
from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network import checkpoint
from r2mrf.network.model_folder import CheckpointError


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path_factory, monkeypatch) -> Path:
    """Use an empty folder for what is remembered between runs."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("R2MRF_CACHE", str(folder))
    return folder


@pytest.fixture
def job(tiny_model) -> ScoringJob:
    return ScoringJob.of(str(tiny_model), Score(), Addresses())


def test_a_job_carries_its_model(job, tiny_model):
    loaded = checkpoint.load(tiny_model)
    assert (job.model, job.sha256) == (loaded.name, loaded.sha256)
    assert job.checkpoint().sha256 == loaded.sha256


def test_no_model():
    with pytest.raises(CheckpointError, match="nowhere"):
        ScoringJob.of("nowhere", Score(), Addresses())


def test_auto_is_decided_once_for_a_folder(job, tmp_path, monkeypatch, capsys):
    first = with_engine(job, tmp_path)
    assert first.engine in choose.ENGINES
    assert f"engine: {first.engine} fp32 (photos/s: " in capsys.readouterr().err
    assert json.loads((tmp_path / jobs.ENGINES).read_text()) == {job.sha256: [[first.engine, "fp32"]]}
    monkeypatch.setattr(choose, "fastest", None)  # no second trial
    assert with_engine(job, tmp_path) == with_recorded_engine(job, tmp_path) == first


def test_a_trial_is_remembered_for_other_folders(job, tmp_path, monkeypatch, capsys):
    first = with_engine(job, tmp_path / "a")
    monkeypatch.setattr(choose, "fastest", None)  # no second trial
    assert with_engine(job, tmp_path / "b") == first
    assert f"engine: {first.engine} fp32, as in an earlier trial" in capsys.readouterr().err
    assert (tmp_path / "b" / jobs.ENGINES).read_text() == (tmp_path / "a" / jobs.ENGINES).read_text()


@pytest.mark.parametrize("changes", [{"sha256": "0" * 64}, {"precision": "bf16"}, {"int8_sha256": "0" * 64}])
def test_a_trial_is_not_remembered_for_anything_else(job, tmp_path, changes):
    with_engine(job, tmp_path)
    assert remembered.choice(*jobs._asked(job))
    assert not remembered.choice(*jobs._asked(replace(job, **changes)))


def test_another_processor_or_release_remembers_nothing(job, tmp_path, monkeypatch):
    made = with_engine(job, tmp_path).engine
    monkeypatch.setattr(remembered, "processor", lambda: ["another"])
    assert not remembered.choice(*jobs._asked(job))
    monkeypatch.undo()
    assert made


def test_a_graph_is_written_once(job, monkeypatch):
    named = replace(job, engine="onnx")
    first = named.prepared()
    assert first.graph and not first.files
    monkeypatch.setattr(onnx_graph, "graph_for", None)  # not written again
    assert named.prepared() == first
    assert replace(named, engine="openvino", precision="bf16").prepared().graph == first.graph


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(path.read_bytes()[:-1]), lambda path: path.unlink()])
def test_what_is_remembered_is_checked(job, nothing_remembered, spoil):
    named = replace(job, engine="onnx")
    graph = named.prepared().graph
    (entry,) = (nothing_remembered / "graphs").iterdir()
    whole = entry.read_bytes()
    spoil(entry)
    assert named.prepared().graph == graph
    assert entry.read_bytes() == whole  # made anew


def test_a_cache_that_cannot_be_written_is_done_without(job, tmp_path, monkeypatch):
    (tmp_path / "taken").touch()
    monkeypatch.setenv("R2MRF_CACHE", str(tmp_path / "taken"))
    named = replace(job, engine="onnx")
    assert named.prepared().graph == named.prepared().graph


def test_int8_without_its_form_is_refused_whatever_is_remembered(job):
    replace(job, engine="onnx").prepared()
    with pytest.raises(UserError, match="has no int8 form"):
        replace(job, engine="onnx", precision="int8").prepared()


def test_a_job_whose_model_and_engine_are_known_needs_no_torch(job, tiny_model, tmp_path):
    code = (
        "import sys; from pathlib import Path; from pipelines.scoring.job import ScoringJob, with_engine; "
        "from pipelines.storage.addresses import Addresses; from r2mrf.config import Score; "
        "import pipelines.scoring.run; "
        "job = with_engine(ScoringJob.of(sys.argv[1], Score(), Addresses()), Path(sys.argv[2])).prepared(); "
        "print('torch' in sys.modules, job.engine in ('torch', 'openvino'))"
    )
    known = replace(job, engine="openvino")
    remembered.note_choice("openvino", "fp32", *jobs._asked(job))
    known.prepared()
    command = [sys.executable, "-c", code, str(tiny_model), str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout == "False True\n", done.stderr


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"engine": "auto", "precision": "auto"}, ("openvino", "bf16")),
        ({"engine": "auto", "precision": "fp32"}, ("onnx", "fp32")),
        ({"engine": "onnx", "precision": "auto"}, ("onnx", "fp32")),
        ({"engine": "torch", "precision": "bf16"}, ("torch", "bf16")),
    ],
)
def test_rows_go_on_with_the_first_recorded_engine_that_fits(job, tmp_path, asked, expected):
    record = {job.sha256: [["openvino", "bf16"], ["onnx", "fp32"]]}
    (tmp_path / jobs.ENGINES).write_text(json.dumps(record))
    going_on = with_engine(replace(job, **asked), tmp_path)
    assert (going_on.engine, going_on.precision) == expected


def test_a_table_of_version_01_goes_on(job, tmp_path):
    (tmp_path / jobs.ENGINES).write_text(json.dumps({job.sha256: ["openvino", "fp32"]}))
    assert with_engine(job, tmp_path).engine == "openvino"


@pytest.mark.parametrize(
    "record",
    [
        "[]",
        "3",
        '"x"',
        '{"a": 3}',
        '{"a": []} x',
        '{"a": [["onnx"]]}',
        '{"a": [["onnx", 32]]}',
        '{"a": [["onnx", "fp32"]], "a": []}',
        "[" * 100_000,
    ],
)
def test_a_damaged_record_is_named(job, tmp_path, record):
    (tmp_path / jobs.ENGINES).write_text(record)
    with pytest.raises(UserError, match=r"engines\.json is damaged: remove it"):
        with_engine(job, tmp_path)


def test_another_precision_gets_a_trial_of_its_own(job, tmp_path):
    record = {job.sha256: [["openvino", "bf16"]]}
    (tmp_path / jobs.ENGINES).write_text(json.dumps(record))
    first = with_engine(job, tmp_path)
    assert first.precision == "fp32"
    pairs = [["openvino", "bf16"], [first.engine, "fp32"]]
    assert json.loads((tmp_path / jobs.ENGINES).read_text()) == {job.sha256: pairs}


def test_a_named_engine_needs_no_trial(job, tmp_path):
    named = replace(job, engine="onnx")
    assert with_engine(named, tmp_path) == named
    assert not list(tmp_path.iterdir())


def test_auto_on_a_cluster_is_torch_in_fp32(job, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    there = with_engine(replace(job, precision="auto"), tmp_path)
    assert (there.engine, there.precision) == ("torch", "fp32")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"max_pixels": 1000}, False),
        ({"maps": True}, False),
        ({"detail": True}, False),
        ({"soft_above": 2.0}, True),
        ({"sharp_below": 0.3}, True),
        ({"retry": True, "by_content": True, "actors": 3, "shard_rows": 7, "seconds": 5}, True),
    ],
)
def test_fingerprint_covers_what_changes_a_number(job, changes, same):
    other = replace(job, options=job.options.model_copy(update=changes))
    assert (other.fingerprint == job.fingerprint) is same


@pytest.mark.parametrize("changes", [{"engine": "openvino"}, {"precision": "bf16"}, {"sha256": "0" * 64}])
def test_fingerprint_covers_model_engine_and_precision(job, changes):
    assert replace(job, **changes).fingerprint != job.fingerprint


@pytest.mark.parametrize(
    ("options", "fingerprint"),
    [
        ({}, "f75cbef554210f41"),
        ({"maps": True}, "3cedef78d2bfad96"),
        ({"detail": True}, "03673df24097dc8a"),
        ({"precision": "bf16"}, "ccc357c7bca8ab88"),
        ({"precision": "int8"}, "7016bac7e76bf757"),
    ],
)
def test_tables_that_were_scored_before_are_gone_on_with(options, fingerprint):
    """Changing one of these would score every user's photos again: only a raised record.VERSION is a reason."""
    asked = Score(engine="onnx", **options)
    model = {"files": {}, "model": "any name", "sha256": "ab" * 32, "int8_sha256": "cd" * 32}
    preprocess, scale = Preprocess(320, (0.5,) * 3, (0.25,) * 3), BlurScale(1.0, 10.0, True)
    job = ScoringJob(**model, preprocess=preprocess, blur_scale=scale, options=asked, engine="onnx",
              precision=asked.precision, addresses=Addresses())  # fmt: skip
    assert job.fingerprint == fingerprint


@pytest.mark.parametrize(
    ("cpus", "gpus", "actors", "expected"),
    [(1, 0, 0, (1, 1)), (2, 0, 0, (2, 1)), (8, 0, 0, (6, 1)), (16, 2, 0, (2, 8)), (8, 0, 3, (3, 2))],
)
def test_shares(cpus, gpus, actors, expected):
    assert shares(Score(actors=actors), cpus, gpus) == expected


def test_nothing_that_only_reads_photos_imports_torch():
    code = "import sys, pipelines.scoring.reader, pipelines.scoring.ray_data; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
