"""Outputs in a storage that all machines reach: receipts, checked copies, and what jobs hand to each other."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from pipelines.cluster import ray_cluster
from pipelines.data import build as module
from pipelines.data.build import ShardTask, build
from pipelines.storage.outputs import RECEIPT, download_outputs, folder, local_copy, output_folder, outputs_synchronised
from pipelines.storage.store import Store, below
from r2mrf.data import shards
from r2mrf.errors import UserError
from tests.support.object_store import s3_server

MODEL = Path("models/r2mrf")


@pytest.fixture(scope="module")
def s3():
    with s3_server() as options:
        yield options


@pytest.fixture(params=["disk", "s3"])
def storage(request, tmp_path) -> str:
    if request.param == "disk":
        return str(tmp_path / "shared")
    return f"s3://team/{tmp_path.name}?{request.getfixturevalue('s3')}"


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Work on a machine of our own; `elsewhere` moves to another."""
    elsewhere(tmp_path, monkeypatch, "one")


def elsewhere(tmp_path: Path, monkeypatch, name: str) -> None:
    (tmp_path / name / "project").mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / name / "project")
    monkeypatch.setenv("R2MRF_CACHE", str(tmp_path / name / "cache"))


def make(storage: str, **files: str) -> dict:
    """Make a model of these files; return its receipt."""
    with output_folder(MODEL, storage) as target:
        target.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (target / name).write_text(content)
    return json.loads((MODEL / RECEIPT).read_text()) if storage else {}


def contents(path: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in path.iterdir()}


def test_without_a_storage_all_is_as_ever():
    make("", weights="w")
    assert contents(MODEL) == {"weights": "w"}
    assert local_copy(MODEL) == MODEL


def test_a_receipt_stands_for_the_files_on_any_machine(storage, tmp_path, monkeypatch):
    receipt = make(storage, weights="w", facts="f")
    assert contents(MODEL).keys() == {RECEIPT}
    assert receipt["files"] == {
        name: hashlib.sha256(text).hexdigest() for name, text in [("facts", b"f"), ("weights", b"w")]
    }
    sent = folder(MODEL)
    elsewhere(tmp_path, monkeypatch, "two")
    assert contents(sent.local_copy()) == {"weights": "w", "facts": "f"}


def test_an_older_receipt_stays_good(storage):
    first = make(storage, weights="w")
    older = (MODEL / RECEIPT).read_text()
    second = make(storage, weights="other")
    assert first["address"] != second["address"]
    assert contents(local_copy(MODEL)) == {"weights": "other"}
    (MODEL / RECEIPT).write_text(older)
    assert contents(local_copy(MODEL)) == {"weights": "w"}


def test_the_same_files_have_the_same_receipt(storage):
    assert make(storage, weights="w") == make(storage, weights="w")


def test_files_that_were_changed_or_are_gone_are_refused(storage, tmp_path, monkeypatch):
    receipt = make(storage, weights="w")
    sent = folder(MODEL)
    with Store(receipt["address"]).writing("weights") as path:
        path.write_text("tampered")
    elsewhere(tmp_path, monkeypatch, "two")
    with pytest.raises(UserError, match="weights is not the file that the receipt names"):
        sent.local_copy()
    elsewhere(tmp_path, monkeypatch, "three")
    store = Store(receipt["address"])
    store._files.delete_file(f"{store._root}/weights")
    with pytest.raises(UserError, match="weights is gone"):
        sent.local_copy()


def test_a_receipt_that_names_files_elsewhere_is_refused(storage, tmp_path):
    receipt = make(storage, weights="w")
    receipt["files"] = {"../../escaped": receipt["files"]["weights"]}
    (MODEL / RECEIPT).write_text(json.dumps(receipt))
    with pytest.raises(UserError, match="not a file name"):
        local_copy(MODEL)
    for damaged in ("[]", '{"address": 1, "files": {}}', '{"address": "x", "address": "y", "files": {}}', "[" * 100_000,
                    '{"address": "x", "files": {"a": 1}}', '{"address": "x", "files": {}, "rows": "9"}'):  # fmt: skip
        (MODEL / RECEIPT).write_text(damaged)
        with pytest.raises(UserError, match="damaged"):
            local_copy(MODEL)


def test_a_bucket_that_is_not_there(s3):
    with pytest.raises(UserError, match="facts cannot be written"):
        make(f"s3://nobodys/prefix?{s3}", facts="f")
    assert not MODEL.exists()


def test_a_storage_that_is_away(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-a-test")
    away = Store("s3://team/prefix?scheme=http&endpoint_override=127.0.0.1:9&region=us-east-1")
    for ask in (away.names, lambda: away.fetch("facts", Path("facts"))):
        with pytest.raises(UserError, match=r"s3://team/prefix.*cannot be .*fix that and run again") as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_an_address_that_is_none():
    with pytest.raises(UserError, match=r"storage gopher://x: .*s3://bucket/prefix"):
        Store("gopher://x")


def test_below_keeps_options_at_the_end():
    assert below("s3://b/p/?region=x", "data", "y") == "s3://b/p/data/y?region=x"
    assert below("/mnt/shared", "data") == "/mnt/shared/data"


def test_back_to_no_storage(storage):
    make(storage, weights="w")
    make("", weights="here")
    assert contents(MODEL) == {"weights": "here"}


def test_a_job_goes_on_where_another_has_ended(storage, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    with outputs_synchronised(storage):
        make(storage, weights="w")
        Path("reports/train").mkdir(parents=True)
        Path("reports/train/metrics.json").write_text("{}")
        Path("of-no-use-to-others").write_text("x")
    elsewhere(tmp_path, monkeypatch, "two")
    with outputs_synchronised(storage):
        assert contents(local_copy(MODEL)) == {"weights": "w"}
        assert Path("reports/train/metrics.json").read_text() == "{}"
        assert not Path("of-no-use-to-others").exists()


def test_local_outputs_are_not_replaced_unasked(storage, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with outputs_synchronised(storage):
        make(storage, weights="newer")
    elsewhere(tmp_path, monkeypatch, "two")
    MODEL.mkdir(parents=True)
    (MODEL / "weights").write_text("mine")
    with outputs_synchronised(storage):
        assert contents(MODEL) == {"weights": "mine"}
    with pytest.raises(UserError, match="models/r2mrf was made on this machine"):
        download_outputs(Store(below(storage, "outputs")))
    shutil.rmtree(MODEL)
    assert download_outputs(Store(below(storage, "outputs"))) == [f"{MODEL}/{RECEIPT}"]
    assert contents(local_copy(MODEL)) == {"weights": "newer"}


def test_what_a_killed_run_did_not_upload_is_uploaded_by_the_next(storage, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with outputs_synchronised(storage):
        make(storage, weights="first")
    with pytest.raises(KeyboardInterrupt), outputs_synchronised(storage):
        second = make(storage, weights="second")
        raise KeyboardInterrupt
    with outputs_synchronised(storage):
        pass
    shutil.rmtree(MODEL)
    download_outputs(Store(below(storage, "outputs")))
    assert json.loads((MODEL / RECEIPT).read_text()) == second


def test_outputs_of_another_machine_are_not_replaced_by_older_ones(storage, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with outputs_synchronised(storage):
        make(storage, weights="older")
    elsewhere(tmp_path, monkeypatch, "two")
    with outputs_synchronised(storage):
        newer = make(storage, weights="newer")
    elsewhere(tmp_path, monkeypatch, "one")
    with outputs_synchronised(storage):
        pass
    download_outputs(Store(below(storage, "outputs")))
    assert json.loads((MODEL / RECEIPT).read_text()) == newer


def test_a_stage_is_not_run_here_by_mistake(storage, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with pytest.raises(UserError, match="`ray job submit --working-dir"), outputs_synchronised(storage):
        make(storage, weights="w")


def test_outputs_go_nowhere_else(storage, tmp_path):
    outputs = Store(below(storage, "outputs"))
    for name in ("pipelines/train.py", "models/r2mrf/receipt.json/more", "data/x/receipt.json"):
        with outputs.writing(name) as path:
            path.write_text("x")
    assert download_outputs(outputs) == []
    assert not list(Path.cwd().iterdir())


def test_shards_are_made_in_the_storage_once(storage, tmp_path, monkeypatch):
    for place in (module, ray_cluster):  # one task at a time, so that they start in order
        monkeypatch.setattr(place, "cores", lambda: 1)
    log = tmp_path / "log"

    def make_rows(seed: int) -> list[dict]:
        with open(log, "a") as file:  # noqa: PTH123
            file.write(f"{seed}\n")
        digest = hashlib.sha256(b"im").hexdigest()
        return [{"source_id": f"s{seed}", "image": b"i", "mask": b"m", "sha256": digest}]

    tasks = [ShardTask(f"part-{seed}", seed, 1, "made so") for seed in range(2)]
    prepared = Path("data/prepared")
    prepared.mkdir(parents=True)
    (prepared / "of-a-run-without-storage.parquet").write_text("old")
    assert build(prepared, tasks, make_rows, shards.PAIRS, storage) == 2
    assert contents(prepared).keys() == {RECEIPT}
    assert shards.read(local_copy(prepared))["source_id"].to_pylist() == ["s0", "s1"]
    shutil.rmtree(prepared)
    assert build(prepared, tasks, make_rows, shards.PAIRS, storage) == 2
    assert log.read_text().split() == ["0", "1"]
    assert json.loads((prepared / RECEIPT).read_text())["rows"] == 2
