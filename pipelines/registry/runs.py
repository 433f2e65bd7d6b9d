"""MLflow runs: logs them, and finds an interrupted one again after a restart."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from ray.train import UserCallback
from sqlalchemy.exc import SQLAlchemyError

from pipelines.registry import moved
from pipelines.registry.models import address, database_file, with_credentials_apart
from r2mrf.config import Config, Tracking
from r2mrf.errors import UserError, one_line
from r2mrf.system.address import redacted


def client(tracking: Tracking) -> MlflowClient:
    """Connect to the tracking server or database, and create the experiment if it is new.

    The driver calls this before workers log, because two processes that create the same database both fail.

    Raises:
        UserError: the server or database does not answer.
    """
    uri = address(tracking.uri)
    mlflow.set_tracking_uri(uri)
    if (database := database_file(uri)) and database.is_file():
        moved.follow(database.resolve())
    with _as_user_error(uri):
        found = MlflowClient()
        if found.get_experiment_by_name(tracking.experiment) is None:
            # a database on this machine keeps files beside it; a server knows its own store
            here = Path("mlartifacts").resolve().as_uri() if uri.startswith("sqlite:") else None
            found.create_experiment(tracking.experiment, artifact_location=here)
    return found


def run_for(config: Config, stage: str, fingerprint: str, parent: str | None = None) -> str:
    """Return the ID of the unfinished run with this fingerprint, or of a new one, below `parent` if given.

    Raises:
        UserError: the server or database does not answer.
    """
    mlflow_client = client(config.tracking)
    with _as_user_error(address(config.tracking.uri)):
        experiment = mlflow_client.get_experiment_by_name(config.tracking.experiment).experiment_id
        query = f"tags.stage = '{stage}' and tags.fingerprint = '{fingerprint}' and attributes.status != 'FINISHED'"
        unfinished = mlflow_client.search_runs([experiment], query, max_results=1)
        if unfinished:
            run_id = unfinished[0].info.run_id
            mlflow_client.update_run(run_id, status="RUNNING")
            return run_id
        tags = {"stage": stage, "fingerprint": fingerprint} | ({MLFLOW_PARENT_RUN_ID: parent} if parent else {})
        run = mlflow_client.create_run(experiment, run_name=f"{stage}-{fingerprint[:8]}", tags=tags)
        values = {"profile": config.profile, "model": config.model.model_dump(), "train": config.train.model_dump()}
        mlflow_client.log_batch(run.info.run_id, params=[Param(name, str(value)) for name, value in _flat(values)])
        return run.info.run_id


def finish(tracking: Tracking, run_id: str, status: str) -> None:
    """End a run as FINISHED, FAILED or KILLED; only warn if the server does not answer."""
    try:
        mlflow_client = client(tracking)
        with _as_user_error(address(tracking.uri)):
            mlflow_client.set_terminated(run_id, status)
    except UserError as error:
        print(f"warning: run {run_id} stays open: {error}", file=sys.stderr)


@contextmanager
def killed_if_interrupted(tracking: Tracking, *run_ids: str) -> Iterator[None]:
    """Mark runs as KILLED when the work is interrupted; `run_for` finds them again."""
    try:
        yield
    except KeyboardInterrupt:
        for run_id in run_ids:
            finish(tracking, run_id, "KILLED")
        raise


class LogReports(UserCallback):
    """Logs the reports of training workers as they arrive; Ray Train calls it in its controller."""

    def __init__(self, tracking: Tracking, run_id: str):
        self.uri, self.run_id = address(tracking.uri), run_id

    def after_report(self, run_context, metrics: list[dict], checkpoint) -> None:
        """Log one report; Ray Train prescribes the method's name. `metrics` has one entry per worker, all equal."""
        values = {name: float(value) for name, value in metrics[0].items()}
        now, step = int(time.time() * 1000), int(values["step"])
        try:
            with_credentials_apart()  # this process has an environment of its own
            mlflow.set_tracking_uri(self.uri)
            MlflowClient().log_batch(self.run_id, [Metric(name, value, now, step) for name, value in values.items()])
        except (MlflowException, SQLAlchemyError, OSError) as error:  # an unreachable server must not end the training
            print(redacted(f"step {step} is not logged: {error}"), flush=True)


@contextmanager
def _as_user_error(uri: str) -> Iterator[None]:
    """Turn an error of the server or database into a `UserError`."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        why = one_line(error, 400)
        raise UserError(
            redacted(f"tracking server {uri}: {why}: start it, or correct MLFLOW_TRACKING_URI or tracking.uri")
        ) from None


def _flat(values: dict, prefix: str = "") -> list[tuple[str, object]]:
    """Return (key, value) pairs; nested keys are joined by dots."""
    out: list[tuple[str, object]] = []
    for key, value in values.items():
        out += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return out
