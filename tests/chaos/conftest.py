"""Fixtures that several chaos tests share."""

import pytest

from tests.support.training_run import EVERY, STEPS, Run


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
