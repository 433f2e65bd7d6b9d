"""MLflow's model registry: resolves `models:/NAME@ALIAS` to one version, and fetches and checks its model folder.

    model = resolve("models:/r2mrf@champion")     # once per job: the alias may move in the meantime
    model.uri, model.sha256, model.folder         # models:/r2mrf/3; the registry's hash; files that match it

The hash of a version is kept in the registry's database, not next to the files, so whoever can write only to the file
store cannot replace them unnoticed. Nothing from the file store is executed or unpickled.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from r2mrf.network.model_folder import FACTS, WEIGHTS, CheckpointError, content_hash
from r2mrf.system import missing
from r2mrf.system.address import Address, is_address, redacted

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHECKPOINT = "checkpoint"  # the artifact of a registered model that contains our model folder
MISSING = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}  # MLflow's codes for a missing model, version or alias
HASH = "model_sha256"  # tag of a version: the hash of its content


@dataclass(frozen=True)
class Registered:
    """One version of a registered model. `folder` is on this machine, and its content has the hash `sha256`."""

    name: str
    version: str
    sha256: str
    folder: Path

    @property
    def uri(self) -> str:
        """The address of exactly this version, valid on every machine."""
        return f"models:/{self.name}/{self.version}"


def resolve(uri: str) -> Registered:
    """Look up a model, and fetch it unless this machine already has it.

    The registry is given by MLFLOW_TRACKING_URI, or else by params.yaml in the current folder.

    Raises:
        CheckpointError: there is no such registry, model, version or alias, or the files are not the registered ones.
    """
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.utils.models import get_model_name_and_version
    from sqlalchemy.exc import SQLAlchemyError

    from pipelines.storage.outputs import cache

    registry = address()
    database = database_file(registry)
    if database and not database.is_file():  # MLflow would create one
        raise CheckpointError(
            f"{uri}: the registry {database} does not exist yet: train and register, or correct the address"
        )
    try:
        mlflow.set_tracking_uri(registry)
        client = mlflow.MlflowClient()
        found = get_model_name_and_version(client, uri)
        if len(found) != 2:
            raise CheckpointError(f"{uri}: give models:/NAME@ALIAS or models:/NAME/VERSION")
        name, version = found[0], str(found[1])
        tags = client.get_model_version(name, version).tags
        if not re.fullmatch(r"[0-9a-f]{64}", tags.get(HASH, "")):  # the hash also names a folder of the cache
            raise CheckpointError(
                f"{uri}: version {version} has no tag {HASH} with a hash; only models put there by `register` are used"
            )
        model = Registered(name, version, tags[HASH], cache() / tags[HASH])
        if not _is_cached(model):
            _download(model)
        return model
    except (MlflowException, SQLAlchemyError, OSError) as error:
        missing = isinstance(error, MlflowException) and error.error_code in MISSING
        there = _existing_versions(client, uri) if missing else ""
        raise CheckpointError(
            f"{uri}: "
            + redacted(f"{_shortened(error)}{there}; registry {registry}: ")
            + ("check the name, or set MLFLOW_TRACKING_URI" if missing else "start it, or set MLFLOW_TRACKING_URI")
        ) from None


def fetch(uri: str) -> Path:
    """Return the folder of a registered model; `Predictor.load` finds this function through an entry point.

    Raises:
        CheckpointError: see `resolve`; or MLflow is not installed.
    """
    try:
        return resolve(uri).folder
    except ModuleNotFoundError as error:
        if said := missing.explain(error, uri, by="[pipeline]"):
            raise CheckpointError(said) from None
        raise


def address(uri: str | None = None) -> str:
    """Return the address of the tracking server or database: MLFLOW_TRACKING_URI, else `uri`, else from params.yaml.

    User and password of a server's address are moved to MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, because
    MLflow prints the address.
    """
    from r2mrf.config import ConfigError, load

    if given := with_credentials_apart():
        return given
    try:
        uri = uri or load().tracking.uri
    except ConfigError as error:
        raise CheckpointError(
            "models:/ names need a registry: set MLFLOW_TRACKING_URI, or run this in the folder of the project's "
            f"params.yaml ({error})"
        ) from None
    scheme, _, path = uri.partition(":///")  # workers run in other folders: make the path of a database file absolute
    return f"sqlite:///{Path(path).resolve()}" if scheme == "sqlite" else uri


def with_credentials_apart() -> str | None:
    """Return MLFLOW_TRACKING_URI, after moving user and password of a server to variables of their own."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    found = Address.parse(uri) if uri and is_address(uri) else None
    if found is None or found.scheme not in ("http", "https") or not found.user:
        return uri
    apart = dict(zip(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"), found.credentials, strict=True))
    os.environ.update(apart | {"MLFLOW_TRACKING_URI": found.bare})
    return found.bare


def database_file(registry: str) -> Path | None:
    """Return the file of a registry that is a local database, or None."""
    path = registry.removeprefix("sqlite:///").partition("?")[0]  # options may follow
    return Path(path) if registry.startswith("sqlite:///") else None


def _shortened(error: Exception) -> str:
    """Return the text of an error on one line; a long text is cut in the middle, because its end names the cause."""
    text = " ".join(str(error).split()).rstrip(".")
    return text if len(text) <= 300 else f"{text[:120]} … {text[-160:]}"


def _existing_versions(client: MlflowClient, uri: str) -> str:
    """Return a clause that lists the aliases and versions that the model with this address has."""
    from mlflow.exceptions import MlflowException

    name = re.split("[/@]", uri.removeprefix("models:/"))[0]
    try:
        aliases = client.get_registered_model(name).aliases
        versions = sorted(int(found.version) for found in client.search_model_versions(f"name = '{name}'"))
    except MlflowException:
        return ""
    said = ", ".join(f"@{alias} ({version})" for alias, version in sorted(aliases.items()))
    return f"; {name} has {said or 'no alias'}, and the versions {', '.join(map(str, versions))}"


def _is_cached(model: Registered) -> bool:
    if not model.folder.exists():
        return False
    with suppress(CheckpointError):
        if content_hash(model.folder) == model.sha256:
            return True
    shutil.rmtree(model.folder)
    return False


def _moved(model: Registered) -> Path | None:
    """Return the present place of a version's files, if the project was moved with its database and mlartifacts.

    The database refers to them by absolute paths.

    Raises:
        CheckpointError: they are neither at that path nor beside the database.
    """
    import mlflow

    database = database_file(address())
    if not database:
        return None
    client = mlflow.MlflowClient()
    location = client.get_model_version_download_uri(model.name, model.version)
    if location.startswith("models:/m-"):
        location = client.get_logged_model(location.removeprefix("models:/")).artifact_location
    if not location.startswith("file:"):
        return None
    then = Path(unquote(urlparse(location).path))
    if then.exists():
        return None
    _, found, below = str(then).rpartition("/mlartifacts/")
    now = database.parent / "mlartifacts" / below
    if not found or not now.exists():
        raise CheckpointError(
            f"{model.uri}: its files are gone: they were in {then}; restore mlartifacts there, or beside {database}"
        )
    return now


def _download(model: Registered) -> None:
    import mlflow

    model.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=model.folder.parent) as scratch:
        whole, ours = Path(scratch) / "whole", Path(scratch) / "ours"
        if moved := _moved(model):
            whole = moved
        else:
            whole.mkdir()
            mlflow.artifacts.download_artifacts(model.uri, dst_path=str(whole))
        try:
            artifacts = mlflow.models.Model.load(whole).flavors["python_function"]["artifacts"]
            found = whole / artifacts[CHECKPOINT]["path"]
        except (KeyError, TypeError):
            raise CheckpointError(f"{model.uri} is another kind of model: it contains no r2mrf model folder") from None
        ours.mkdir()
        for name in (WEIGHTS, FACTS):
            shutil.copyfile(found / name, ours / name)
        if content_hash(ours) != model.sha256:
            raise CheckpointError(
                f"{model.uri}: its files are not those that were registered (the hash of weights and architecture "
                "differs), so they are not used; register the model again, and find out who changed them"
            )
        with suppress(OSError):  # another process on this machine was faster
            ours.rename(model.folder)
