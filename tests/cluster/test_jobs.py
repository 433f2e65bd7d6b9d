"""Stages as jobs of a cluster whose machines share S3 but no disk, and what happens when machines die.

`make cluster`. Each stage is submitted as `ray job submit --working-dir . -- python -m pipelines.NAME`. Results are
compared with those of the same stages run here, without a cluster.
"""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.storage.outputs import RECEIPT
from tests.support.fleet import ClusterJob, Fleet
from tests.support.object_store import s3_server
from tests.support.workspace import Workspace

STEPS, EVERY = 40, 4
KINDS, PHOTOS = 23, 2300  # three shards of the table
SETTINGS = {
    "augment": {"variants": 4},
    "lite": {"train": {"steps": STEPS, "report_every": EVERY, "workers": 2}},
    "tune": {"budget": 16, "grace": 16, "report_every": EVERY},
}


@pytest.fixture(scope="module")
def s3():
    with s3_server() as options:
        yield options


@pytest.fixture(scope="module")
def fleet(s3, tmp_path_factory):
    """Start two machines of two CPUs. A test that kills one adds another."""
    with Fleet(environment={"R2MRF_CACHE": str(tmp_path_factory.mktemp("caches"))}) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Workspace:
    """Return a workspace whose stages ran on this machine, without a cluster."""
    project = Workspace(tmp_path_factory.mktemp("here"))
    project.set(SETTINGS)
    for stage in ("prepare", "augment", "train"):
        project.run("python", "-m", f"pipelines.{stage}")
    return project


@pytest.fixture(scope="module")
def there(fleet, s3, tmp_path_factory) -> Workspace:
    """Return a workspace with the same settings, prepared and augmented by jobs, with its data in a storage only."""
    project = Workspace(tmp_path_factory.mktemp("there"))
    project.set(SETTINGS)
    project.set({"storage": f"s3://team/run?{s3}"})
    tracking = {"uri": f"sqlite:///{project.root}/mlflow.db", "states": f"s3://team/states?{s3}"}
    project.set({"tracking": tracking})
    for stage in ("prepare", "augment"):
        job = fleet.submit("python", "-m", f"pipelines.{stage}", cwd=project.root)
        assert job.wait() == 0, job.said()[-4000:]
        assert not (project.root / "data" / f"{stage}d").exists()
    return project


def content(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.*")}


def test_jobs_make_the_same_data(here, there):
    there.run("python", "-m", "pipelines.storage")
    for name in ("data/prepared", "data/augmented"):
        assert [path.name for path in (there.root / name).iterdir()] == [RECEIPT]
        receipt = json.loads((there.root / name / RECEIPT).read_text())
        assert receipt["files"] == content(here.root / name)
    assert receipt["rows"] == 5 * 4
    card = "reports/augment/card.json"
    assert (there.root / card).read_text() == (here.root / card).read_text()
    there.run("git", "init", "-q")
    there.run("dvc", "commit", "--force", "prepare", "augment")
    assert there.run("dvc", "repro", "augment").count("didn't change, skipping") == 2
    for name in ("data/prepared", "data/augmented"):  # the next jobs do without
        shutil.rmtree(there.root / name)


def await_worker(job: ClusterJob, step: int, of: int = STEPS, after: str = "") -> int:
    """Wait until a step is reported; return the pid of the worker that reported it."""
    reported = re.compile(rf"{after}.*pid=(\d+)[^\n]*step {step}/{of}:", re.S)
    job.await_that(lambda: reported.search(job.said()))
    return int(reported.search(job.said())[1])


@pytest.fixture(scope="module")
def trained(fleet, there) -> Workspace:
    """Train by a job during which a machine dies."""
    job = fleet.submit("python", "-m", "pipelines.train", cwd=there.root)
    fleet.kill(fleet.node_of(await_worker(job, 2 * EVERY)))
    fleet.add()
    assert job.wait() == 0, job.said()[-4000:]
    return there


def test_machine_dies_during_train(here, trained):
    trained.run("python", "-m", "pipelines.storage")
    receipt = json.loads((trained.root / "models/r2mrf" / RECEIPT).read_text())
    weights = "model.safetensors"
    assert receipt["files"][weights] == content(here.root / "models/r2mrf")[weights]
    assert (trained.root / "reports/train/metrics.json").is_file()


def test_machine_dies_during_tune(fleet, here, there):
    """The machine dies during the second of two trials."""
    here.run("python", "-m", "pipelines.tune")
    job = fleet.submit("python", "-m", "pipelines.tune", cwd=there.root)
    job.await_text("trial steps_1: F ")
    fleet.kill(fleet.node_of(await_worker(job, EVERY, of=16, after="trial steps_2: begins")))
    fleet.add()
    assert job.wait() == 0, job.said()[-4000:]
    there.run("python", "-m", "pipelines.storage")
    alone, together = (json.loads((space.root / "reports/tune/steps.json").read_text()) for space in (here, there))
    assert together["steps"] == alone["steps"]
    for one, other in zip(together["trials"], alone["trials"], strict=True):
        assert one["status"] == other["status"] == "finished"
        assert one["val_f_05"] == pytest.approx(other["val_f_05"], abs=1e-3)


def test_the_other_stages_find_what_jobs_have_left(fleet, trained):
    for stage in ("evaluate", "register", "score"):
        job = fleet.submit("python", "-m", f"pipelines.{stage}", cwd=trained.root)
        assert job.wait() == 0, job.said()[-4000:]
    assert "7 photos scored, 0 failed" in job.said()
    shutil.rmtree(trained.root / "reports")
    trained.run("python", "-m", "pipelines.storage")
    model = json.loads((trained.root / "reports/evaluate/metrics.json").read_text())["model"]
    assert json.loads((trained.root / "reports/register/metrics.json").read_text())["model"] == model


@pytest.fixture(scope="module")
def library(here, tmp_path_factory) -> Path:
    """Many photos of a few kinds, and the trained model."""
    root = tmp_path_factory.mktemp("library")
    (root / "photos").mkdir()
    for kind in range(KINDS):
        photo = root / "photos" / f"{kind:02d}-00.png"
        noise = np.random.default_rng(kind).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        noise[:, : 3 * kind] = 128
        Image.fromarray(noise).save(photo)
        for copy in range(1, PHOTOS // KINDS):
            os.link(photo, photo.with_name(f"{kind:02d}-{copy:02d}.png"))
    shutil.copytree(here.root / "models/r2mrf", root / "model")
    return root


def command(library: Path, out: str) -> list[str]:
    where = [str(library / "photos"), "--out", str(library / out), "--model", str(library / "model")]
    return ["r2mrf", "score", *where, "--engine", "torch"]


@pytest.fixture(scope="module")
def scored(library, here) -> dict:
    here.run(*command(library, "scored"))
    return table(library / "scored")


def table(out: Path) -> dict[str, np.ndarray]:
    """Return the columns of a scored library by path; check that each path occurs once and that the summary agrees."""
    rows = pq.read_table(out / "scores").sort_by("path")
    summary = json.loads((out / "summary.json").read_text())
    assert rows.num_rows == len(set(rows["path"].to_pylist())) == PHOTOS
    assert (summary["total"], summary["ok"], summary["failed"]) == (PHOTOS, PHOTOS, 0)
    return {name: rows[name].to_numpy() for name in ("path", "status", "verdict", "content_sha256", "blur_fraction")}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Compare tables up to the last bits, which differ with machines and threads from run to run."""
    close = np.allclose(one["blur_fraction"], other["blur_fraction"], atol=1e-4)
    return close and all((one[name] == other[name]).all() for name in one if name != "blur_fraction")


def await_shard(job: ClusterJob, out: Path) -> Path:
    """Wait until a part of the table is written; return it."""
    job.await_that(lambda: any(out.glob("scores/shard-*.parquet")))
    assert job.process.poll() is None, "it ended before it could be disturbed"
    return next(out.glob("scores/shard-*.parquet"))


def test_machine_with_the_network_dies_during_score(fleet, here, library, scored):
    out = library / "disturbed"
    job = fleet.submit(*command(library, out.name), cwd=here.root)
    await_shard(job, out)
    fleet.kill(fleet.node_with("ray::NetworkCopy"))
    fleet.add()
    assert job.wait() == 0, job.said()[-4000:]
    assert same(table(out), scored)


def test_head_dies_during_score_and_the_job_is_submitted_again(here, library, scored):
    out = library / "headless"
    with Fleet() as first:
        job = first.submit(*command(library, "headless"), cwd=here.root)
        shard = await_shard(job, out)
        written = shard.stat().st_mtime_ns
        first.kill(0)
        job.abandon()
    with Fleet() as second:
        again = second.submit(*command(library, "headless"), cwd=here.root)
        assert again.wait() == 0, again.said()[-4000:]
    assert shard.stat().st_mtime_ns == written
    assert same(table(out), scored)


def test_without_the_token_no_job(fleet, here, tmp_path):
    wrong = tmp_path / "token"
    wrong.write_text("0" * 64)
    job = fleet.submit("echo", "let in", cwd=here.root, environment={"RAY_AUTH_TOKEN_PATH": str(wrong)})
    assert job.wait() != 0
    assert "submitted successfully" not in job.said()


def test_a_job_without_code_of_its_own_runs_where_ray_was_started(fleet):
    job = fleet.submit("pwd")  # as the jobs of infra/kuberay do, in the image's project
    assert job.wait() == 0
    assert str(fleet.root) in job.said().splitlines()
