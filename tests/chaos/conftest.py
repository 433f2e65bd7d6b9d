"""Fixtures that several chaos tests share."""

import tempfile
from collections.abc import Iterator

import pytest

from tests.support.training_run import EVERY, STEPS, Run


@pytest.fixture(scope="session", autouse=True)
def _folder_of_ray() -> Iterator[None]:
    """Give Ray a folder of these tests' own: the usual one may belong to another user of this machine."""
    short = tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True)  # sockets lie below it
    with short as folder, pytest.MonkeyPatch.context() as here:
        here.setenv("RAY_TMPDIR", folder)
        yield


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> str:
    """Return the hash of the weights with which undisturbed training ends."""
    with Run(tmp_path_factory.mktemp("undisturbed"), workers=2) as run:
        run.start()
        weights = run.finish()
    assert not list((run.root / "runs").iterdir())  # nothing of a finished run is kept
    history = (run.root / "reports/train/history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history] == ["step", *map(str, range(EVERY, STEPS + 1, EVERY))]
    return weights
