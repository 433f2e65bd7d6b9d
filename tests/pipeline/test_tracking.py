"""MLflow's database: looking makes none, its errors are one line without passwords, and it moves with its project."""

import os
import shutil
from collections.abc import Iterator

import mlflow
import pytest
from mlflow import MlflowClient

from pipelines.registry import resolve, runs
from r2mrf.config import load
from r2mrf.errors import UserError
from r2mrf.network.model_folder import CheckpointError
from tests.support.imports import ROOT


@pytest.fixture(autouse=True)
def _no_address_is_kept() -> Iterator[None]:
    """Let MLflow forget the database of a test."""
    yield
    mlflow.set_tracking_uri(None)


def test_looking_makes_no_database(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/nowhere/mlflow.db")
    with pytest.raises(CheckpointError, match=r"the registry .*/nowhere/mlflow.db does not exist yet"):
        resolve("models:/r2mrf@champion")
    assert not list(tmp_path.iterdir())


def test_passwords_are_not_shown(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(CheckpointError) as caught:
        resolve("models:/r2mrf@champion")
    assert "127.0.0.1:9" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_that_is_none_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 1)  # it would wait for minutes
    (tmp_path / "mlflow.db").write_text("no database at all\n" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    given = load(ROOT / "params.yaml").tracking
    for ask in (lambda: runs.client(given), lambda: resolve("models:/r2mrf@champion")):
        with pytest.raises(UserError, match="file is not a database") as caught:
            ask()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["moved", "copied", "its database copied", "files elsewhere on purpose"])
def test_new_runs_of_a_project_that_was_moved(tmp_path, monkeypatch, change):
    """They keep their files in the project, and old runs have theirs if these came along."""
    old, new = tmp_path / "old", tmp_path / "new name"
    given = load(ROOT / "params.yaml").tracking
    old.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # so that it is as before afterwards
    monkeypatch.chdir(old)
    first = a_run(given)
    if change == "moved":
        old.rename(new)
    elif change == "copied":
        shutil.copytree(old, new)
    else:
        new.mkdir()
        shutil.copy(old / "mlflow.db", new)
        if change == "files elsewhere on purpose":
            (old / "mlflow.db").unlink()
    monkeypatch.chdir(new)
    second = a_run(given)
    client = MlflowClient()
    places = {"mlartifacts"} if change == "files elsewhere on purpose" else {"mlartifacts", "new%20name"}
    assert places <= set(client.get_run(second).info.artifact_uri.split("/"))
    assert (new / "mlartifacts" / second).is_dir() == (change != "files elsewhere on purpose")
    assert [file.path for file in client.list_artifacts(first)] == ["note.txt"]  # where the old project is, or here
    assert old.exists() == (change != "moved")


def a_run(given) -> str:
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow sets it
    client = runs.client(given)
    run = client.create_run(client.get_experiment_by_name(given.experiment).experiment_id).info.run_id
    client.log_text(run, "a", "note.txt")
    return run
