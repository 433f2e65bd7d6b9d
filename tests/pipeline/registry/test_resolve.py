"""A model's address leads to the files that were registered; what is missing or was tampered with is refused."""

import hashlib
import json
import shutil
from collections.abc import Iterator

import mlflow
import pytest
from mlflow import MlflowClient

from pipelines.registry import models, resolve
from r2mrf.network import checkpoint, model_folder
from r2mrf.network.model_folder import CheckpointError
from r2mrf.prediction.predictor import Predictor
from tests.support.model import save_tiny_model


@pytest.fixture
def of_the_day(team) -> Iterator[str]:
    """An alias that no other test finds."""
    yield "of-the-day"
    MlflowClient().delete_registered_model_alias("r2mrf", "of-the-day")


def test_alias_is_resolved_to_a_version(team, of_the_day):
    sha256 = team.version("1").tags["model_sha256"]
    MlflowClient().set_registered_model_alias("r2mrf", of_the_day, "1")
    model = resolve(f"models:/r2mrf@{of_the_day}")
    assert (model.name, model.version, model.sha256, model.uri) == ("r2mrf", "1", sha256, "models:/r2mrf/1")
    assert checkpoint.load(model.folder).sha256 == sha256
    MlflowClient().set_registered_model_alias("r2mrf", of_the_day, "2")
    assert resolve(model.uri) == model
    assert resolve(f"models:/r2mrf@{of_the_day}").version == "2"
    assert Predictor.load(model.uri).checkpoint.sha256 == sha256


def test_a_version_is_fetched_once_and_a_damaged_copy_again(team, monkeypatch, tmp_path):
    monkeypatch.setenv("R2MRF_CACHE", str(tmp_path / "cache"))
    folder = resolve("models:/r2mrf/1").folder
    away = team.files("1").rename(tmp_path / "away")
    try:
        assert resolve("models:/r2mrf/1").folder == folder
    finally:
        away.rename(team.files("1"))
    (folder / "model.safetensors").write_bytes(b"damaged")
    sha256 = team.version("1").tags["model_sha256"]
    assert model_folder.content_hash(resolve("models:/r2mrf/1").folder) == sha256


@pytest.mark.parametrize("how", ["weights", "weights and the hash beside them", "another whole model"])
def test_tampered_files_are_refused(team, monkeypatch, tmp_path, how):
    monkeypatch.setenv("R2MRF_CACHE", str(tmp_path / "cache"))
    folder = team.files("1") / "artifacts/r2mrf"
    shutil.copytree(folder, tmp_path / "kept")
    try:
        if how == "another whole model":
            save_tiny_model(folder, seed=9)
        else:
            weights = bytearray((folder / "model.safetensors").read_bytes())
            weights[-1] ^= 1
            (folder / "model.safetensors").write_bytes(weights)
        if how == "weights and the hash beside them":
            facts = json.loads((folder / "model.json").read_text())
            facts["weights_sha256"] = hashlib.sha256(weights).hexdigest()
            (folder / "model.json").write_bytes(model_folder.facts_to_json(facts))
        with pytest.raises(CheckpointError, match=r"not the file that|not those that were registered"):
            Predictor.load("models:/r2mrf/1")
        assert not list((tmp_path / "cache").iterdir())
    finally:
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "kept", folder)


@pytest.mark.parametrize(("name", "tags"), [("by-hand", {}), ("by-foot", {models.HASH: "../.."})])
def test_version_without_a_hash(team, name, tags):
    MlflowClient().create_registered_model(name)
    MlflowClient().create_model_version(name, source=team.files("1").as_uri(), tags=tags)
    with pytest.raises(CheckpointError, match=f"models:/{name}/1: version 1 has no tag model_sha256"):
        resolve(f"models:/{name}/1")


@pytest.mark.parametrize(
    "uri", ["models:/nobody@champion", "models:/r2mrf@nobody", "models:/r2mrf/99", "models:/r2mrf", "models:/m-0123"]
)
def test_no_such_model(team, uri):
    with pytest.raises(CheckpointError) as caught:
        resolve(uri)
    assert str(caught.value).startswith(f"{uri}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["models:/r2mrf@nobody", "models:/r2mrf/99"])
def test_an_unknown_address_lists_the_existing_ones(team, uri):
    with pytest.raises(CheckpointError, match=r"r2mrf has @challenger \(\d\), @champion \(\d\).* versions 1, 2;"):
        resolve(uri)


def test_model_of_another_kind(team, monkeypatch, tmp_path):
    monkeypatch.setenv("R2MRF_CACHE", str(tmp_path))
    (tmp_path / "code.py").write_text("import mlflow\nmlflow.models.set_model(lambda model_input: model_input)\n")
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(name="other", python_model=str(tmp_path / "code.py"), pip_requirements=[])
    version = mlflow.register_model(info.model_uri, "other", tags={models.HASH: "0" * 64}).version
    with pytest.raises(CheckpointError, match="another kind of model"):
        resolve(f"models:/other/{version}")


def test_a_project_that_was_moved_finds_its_files(team, database, tmp_path, monkeypatch):
    new, files = tmp_path / "a b" / "project", team.root / "mlartifacts"
    new.mkdir(parents=True)
    shutil.copy(database / "mlflow.db", new)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{new}/mlflow.db")
    monkeypatch.setenv("R2MRF_CACHE", str(tmp_path / "cache"))
    files.rename(tmp_path / "elsewhere")
    try:
        with pytest.raises(CheckpointError, match=r"its files are gone: they were in .*mlartifacts.* beside "):
            resolve(f"models:/{team.name}@challenger")
        (new / "mlartifacts").symlink_to(tmp_path / "elsewhere")
        found = resolve(f"models:/{team.name}@challenger")
        assert model_folder.content_hash(found.folder) == found.sha256
    finally:
        (tmp_path / "elsewhere").rename(files)
