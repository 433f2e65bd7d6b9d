"""Scoring that is killed at any moment and run again ends with the same table as an undisturbed run."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.support.model import save_tiny_model
from tests.support.patience import PATIENCE
from tests.support.photos import save_photo
from tests.support.scoring_run import await_that, family_of, rows_of

PHOTOS, SHARD = 96, 8
KILLS = 20

RUN = """
import sys
from pathlib import Path
from pipelines.cluster.supervised import supervised
from r2mrf.config import Score
from r2mrf.errors import UserError
options = Score(engine="torch", shard_rows={shard}, maps=True, batch=4)
try:
    supervised("{work}", [sys.argv[1]], Path(sys.argv[2]), sys.argv[3], options, report=lambda photos: None)
except UserError as error:
    sys.exit(f"error: {{error}}")
"""

CLUSTER = """
import os
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": {cpus}}})
os.environ["RAY_ADDRESS"] = cluster.address
"""


BY = {"threads": "pipelines.scoring.run:score", "ray": "tests.support.scoring:by_ray",
      "both": "tests.support.scoring:taken_over_by_ray"}  # fmt: skip


class Run:
    """`r2mrf score` with small shards, in a process of its own.

    Args:
        cpus: the CPUs of the cluster on which it runs as a job.
        by: what does the work, a key of `BY`.
    """

    def __init__(self, library: Path, out: Path, model: Path, cpus: int | None = None, by: str = "threads"):
        self.out, self.log = out, out.with_name(f"{out.name}.log")
        program = (CLUSTER.format(cpus=cpus) if cpus else "") + RUN.format(shard=SHARD, work=BY[by])
        with self.log.open("ab") as log:
            self.driver = subprocess.Popen(
                [sys.executable, "-c", program, library, out, model],
                cwd=Path(__file__).parents[2], stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def done(self) -> int:
        """Return the shards that are done."""
        return len(list((self.out / "scores").glob("shard-*.parquet")))

    def finish(self) -> dict[str, dict]:
        """Wait for the end; return the rows by path."""
        assert self.driver.wait(PATIENCE) == 0, self.log.read_text()[-3000:]
        return rows_of(self.out)

    def kill(self, what: str, dice: random.Random) -> None:
        """Kill the driver, one of its workers, or everything that it has started; wait until the rest has ended.

        Workers are Ray's or, without Ray, the readers' children.
        """
        family = family_of(self.driver)
        workers = [p for p in family if _title(p).startswith("ray::")] or family[1:]
        if what == "worker" and workers:
            dice.choice(workers).kill()
            return
        victims = family if what == "all" else [self.driver]
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        if what == "all":
            self.driver.wait(PATIENCE)
            assert "Traceback" not in self.log.read_text()
        psutil.wait_procs(family, timeout=PATIENCE)


def listed(out: Path) -> int:
    """Return the shards that are listed."""
    return len(list((out / "manifest").glob("shard-*.parquet")))


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()[:1])
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    for i in range(PHOTOS - 2):
        save_photo(folder / f"{i:03d}.jpg", (60, 80), seed=i)
    (folder / "bad.jpg").write_text("no photo")
    (folder / "empty.jpg").touch()
    return folder


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def undisturbed(library, tiny_model, tmp_path_factory) -> dict[str, dict]:
    rows = Run(library, tmp_path_factory.mktemp("undisturbed") / "out", tiny_model).finish()
    assert len(rows) == PHOTOS
    return rows


@pytest.mark.parametrize("by", BY)
def test_killed_at_random_moments(library, tiny_model, undisturbed, tmp_path, by):
    """Kill drivers, workers and whole process trees, twenty times, over as many new tables as that takes."""
    dice, kills, tables = random.Random(2020), 0, 0
    while kills < KILLS:
        out = tmp_path / f"out{tables}"
        tables += 1
        run = Run(library, out, tiny_model, by=by)
        while run.driver.poll() is None and kills < KILLS:
            # aimed at the shards: kills while Ray starts or stops are a few of the twenty
            target, until = run.done() + dice.randint(0, 3), time.monotonic() + dice.uniform(2, 12)
            while run.driver.poll() is None and run.done() < target and time.monotonic() < until:
                time.sleep(0.02)
            if run.driver.poll() is not None:
                break
            what = dice.choice(["driver", "worker", "all"])
            run.kill(what, dice)
            kills += 1
            if what != "worker":
                run = Run(library, out, tiny_model, by=by)
        run.driver.wait(PATIENCE)
        if run.driver.returncode != 0:  # a worker's death may end a run, never its table
            run = Run(library, out, tiny_model, by=by)
        assert run.finish() == undisturbed
        assert {row["map"] for row in undisturbed.values() if row["map"]} == {p.name for p in (out / "maps").iterdir()}
    print(f"{kills} kills, {tables} tables")


def test_cluster_of_two_cpus(library, tiny_model, undisturbed, tmp_path):
    assert Run(library, tmp_path / "out", tiny_model, cpus=2).finish() == undisturbed


def test_cluster_of_one_cpu(library, tiny_model, tmp_path):
    run = Run(library, tmp_path / "out", tiny_model, cpus=1)
    assert run.driver.wait(PATIENCE) == 1
    assert "error: score needs two CPUs, and this cluster has 1: start a machine" in run.log.read_text()


def test_two_runs_on_one_folder(library, tiny_model, undisturbed, tmp_path):
    first = Run(library, tmp_path / "out", tiny_model)
    await_that(first.driver, lambda: listed(tmp_path / "out"))  # which only the one with the lock does
    second = Run(library, tmp_path / "out", tiny_model)
    assert second.driver.wait(PATIENCE) != 0
    assert "another run is writing here" in second.log.read_text()
    assert first.finish() == undisturbed


@pytest.mark.parametrize("by", ["threads", "ray"])
def test_interrupted(library, tiny_model, tmp_path, by):
    """Interrupt the command while Ray works and before Ray has started."""
    score = ["score", str(library), "--out", str(tmp_path / "out"), "--maps", "--model", str(tiny_model)]
    program = "import sys; from pipelines.scoring import supervised_run; from pipelines.command.cli import main; "
    program += f"supervised_run.WORK = {BY[by]!r}; sys.exit(main({[*score, '--engine', 'torch']}))"
    driver = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def begun() -> bool:
        family = family_of(driver)
        return any(_title(p).startswith("ray::") for p in family) if by == "ray" else len(family) > 1

    await_that(driver, begun)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
    said = driver.communicate(timeout=PATIENCE)[1]
    assert driver.returncode == 130
    assert "stopped: run the same command again to resume" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("by", BY)
def test_library_vanishes_halfway(library, tiny_model, undisturbed, tmp_path, by):
    """Remove a disk after it was listed: none of its photos may fail."""
    run, elsewhere = Run(library, tmp_path / "out", tiny_model, by=by), library.with_name("taken away")
    await_that(run.driver, lambda: listed(tmp_path / "out") == PHOTOS // SHARD)
    library.rename(elsewhere)  # before the engine has started
    try:
        assert run.driver.wait(PATIENCE) == 1
        assert (
            f"{library} is gone or empty: restore it, and run the same command again to resume" in run.log.read_text()
        )
        assert all(len(pq.read_table(file)) == SHARD for file in (tmp_path / "out/scores").glob("*.parquet"))
    finally:
        elsewhere.rename(library)
    assert Run(library, tmp_path / "out", tiny_model).finish() == undisturbed


def test_disk_full(library, tiny_model, undisturbed, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", disk]).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        run = Run(library, disk / "out", tiny_model)
        run.log = tmp_path / "log"
        assert run.driver.wait(PATIENCE) == 1
        whole = list((disk / "out/scores").glob("shard-*.parquet"))
        assert all(len(pq.read_table(file)) == SHARD for file in whole)
        assert len(whole) < PHOTOS // SHARD
        subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
        assert Run(library, disk / "out", tiny_model).finish() == undisturbed
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
