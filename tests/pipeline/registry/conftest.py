"""The registry that the tests of this folder share: two registered models."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from tests.support.imports import ROOT
from tests.support.team import Team


@pytest.fixture(scope="package")
def database(tmp_path_factory) -> Iterator[Path]:
    """Make the database once for all tests, as MLflow needs some seconds for it."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("R2MRF_CACHE", str(folder / "cache"))
        yield folder
    mlflow.set_tracking_uri(None)


@pytest.fixture(scope="package")
def team(database, tmp_path_factory) -> Iterator[Team]:
    """Register two models: the first is the champion, the second is not better by enough."""
    team = Team(tmp_path_factory.mktemp("work"), "r2mrf")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(team.root)
        shutil.copy(ROOT / "requirements.txt", team.root)
        (team.root / "dvc.lock").write_text("schema: '2.0'\n")
        team.pairs(0)
        team.train(1, f_05=0.8)
        team.register()
        team.train(2, f_05=0.805)
        team.register()
        yield team
