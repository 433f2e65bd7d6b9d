"""Building shards with Ray: any number of workers writes the same bytes, and only what is missing is made."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.data import build as module
from pipelines.data.build import ShardTask, build
from r2mrf.data import shards
from r2mrf.errors import UserError
from r2mrf.imaging import images

NAMES = [f"part-{i:05d}" for i in range(5)]


def tasks(fingerprint: str = "made so") -> list[ShardTask]:
    """Task i makes the rows 3i to 3i + 2."""
    return [
        ShardTask(name, {"name": name, "seeds": range(3 * i, 3 * i + 3)}, 3, fingerprint)
        for i, name in enumerate(NAMES)
    ]


def maker(log: Path, broken: int | None = None):
    """Return a function that makes a task's rows and logs it; it is nested, so that workers get it by value."""
    note, fault = str(log), broken

    def make(job: dict) -> list[dict]:
        with open(note, "a") as file:  # noqa: PTH123
            file.write(f"{job['name']}\n")
        rows = []
        for seed in job["seeds"]:
            if seed == fault:
                raise UserError(f"photo-{seed}.jpg: cannot be used")
            image = images.encode_png(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8))
            digest = hashlib.sha256(image + b"m").hexdigest()
            rows.append({"source_id": f"s{seed}", "split": "train", "kind": "noise", "image": image, "sha256": digest})
        return [row | {"mask": b"m"} for row in rows]

    return make


def content(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Return all shards, made by a single worker."""
    folder = tmp_path_factory.mktemp("built") / "deep" / "shards"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "cores", lambda: 1)
        assert build(folder, tasks(), maker(folder.parents[1] / "log"), shards.PAIRS) == 15
    return folder


def test_every_job_is_a_shard(built):
    assert sorted(content(built)) == [f"{name}.parquet" for name in NAMES]
    table = shards.read(built)
    assert table["source_id"].to_pylist() == [f"s{i}" for i in range(15)]
    assert sorted((built.parents[1] / "log").read_text().split()) == NAMES


def test_two_workers_go_on_and_write_the_same_bytes(built, tmp_path, monkeypatch):
    # two shards are there; one is missing, one of another make, one cut short; and stray files
    folder, log = tmp_path / "shards", tmp_path / "log"
    shutil.copytree(built, folder)
    (folder / "part-00001.parquet").unlink()
    shards.write(folder / "part-00002.parquet", [], shards.PAIRS, "made otherwise")
    (folder / "part-00003.parquet").write_bytes(b"PAR1 cut short")
    (folder / "part-00009.parquet").touch()
    (folder / ".part-00001.parquet.77").touch()
    kept = {name: (folder / name).stat().st_mtime_ns for name in ("part-00000.parquet", "part-00004.parquet")}
    monkeypatch.setattr(module, "cores", lambda: 2)
    assert build(folder, tasks(), maker(log), shards.PAIRS) == 15
    assert content(folder) == content(built)
    assert sorted(log.read_text().split()) == ["part-00001", "part-00002", "part-00003"]
    assert {name: (folder / name).stat().st_mtime_ns for name in kept} == kept


def test_a_shard_damaged_later_is_named_and_made_again(built, tmp_path, capsys):
    folder, log = tmp_path / "shards", tmp_path / "log"
    shutil.copytree(built, folder)
    path = folder / "part-00002.parquet"
    content_of = bytearray(path.read_bytes())
    photo = sorted(shards.read_shard(path)["image"].to_pylist())[1]  # the first and last stand twice: statistics
    content_of[content_of.index(photo) + 40] ^= 1
    path.write_bytes(content_of)
    assert build(folder, tasks(), maker(log), shards.PAIRS) == 15
    assert content(folder) == content(built)
    assert log.read_text().split() == ["part-00002"]
    assert "part-00002.parquet: damaged (" in capsys.readouterr().out


def test_finished_folder_costs_nothing(built, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in built.iterdir()}
    assert build(built, tasks(), maker(tmp_path / "log"), shards.PAIRS) == 15
    assert not (tmp_path / "log").exists()
    assert {path: path.stat().st_mtime_ns for path in built.iterdir()} == before


def test_other_parameters_remake_all_and_a_failing_job_is_named(built, tmp_path, monkeypatch):
    folder, log = tmp_path / "shards", tmp_path / "log"
    shutil.copytree(built, folder)
    monkeypatch.setattr(module, "cores", lambda: 2)
    with pytest.raises(UserError, match=r"photo-7\.jpg: cannot be used") as caught:
        build(folder, tasks("made otherwise"), maker(log, broken=7), shards.PAIRS)
    assert str(caught.value).count("\n") == 0
    assert "part-00002" in log.read_text()
    # nothing half-made; what was made of the others is kept, what was not is of the older make
    assert shards.inspect(folder / "part-00002.parquet", "made so").rows == 3
    paths = sorted(folder.glob("*.parquet"))
    assert [path.stem for path in paths] == NAMES
    for path in paths:
        assert pq.read_table(path).num_rows == 3


def test_jobs_no_longer_asked_for_are_removed(built, tmp_path):
    folder = tmp_path / "shards"
    shutil.copytree(built, folder)
    fewer = [tasks()[0], tasks()[3]]
    assert build(folder, fewer, maker(tmp_path / "log"), shards.PAIRS) == 6
    assert sorted(content(folder)) == ["part-00000.parquet", "part-00003.parquet"]


def test_folder_among_the_shards_is_left_to_its_owner(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(UserError, match="mine: a folder among the shards: move it away"):
        build(tmp_path, tasks(), maker(tmp_path / "log"), shards.PAIRS)
    assert (tmp_path / "mine" / "thesis.txt").exists()
