"""The Ray cluster that a stage runs on: the one it was submitted to, or a local one started for it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import Any

from r2mrf.errors import UserError, one_line
from r2mrf.system.address import redacted
from r2mrf.system.machine import cores

# Readers, actors, training workers and their drivers each claim a logical CPU. On a machine with two, a job that has
# several kinds of them would wait for itself for ever.
LOGICAL_CPUS = 8
DASHBOARD = "RAY_API_SERVER_ADDRESS"  # Ray's variable
OBJECT_STORE = 512 * 2**20  # bytes, for a local cluster: only small objects travel between tasks


@contextmanager
def connect(logical_cpus: int = LOGICAL_CPUS, training: bool = False) -> Iterator[None]:
    """Join the cluster that submitted this job (RAY_ADDRESS), or start a local one; leave it at the end.

    Args:
        logical_cpus: how many one-CPU tasks a local cluster may run at the same time.
        training: show what workers print, and start the dashboard, which Ray Train needs to clean up.

    Raises:
        UserError: Ray cannot be started or joined, or ends during the work; or a worker raised a UserError.
    """
    import ray

    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)  # token auth is intended
    options: dict[str, Any] = {"log_to_driver": training, "logging_level": logging.WARNING}
    if in_a_job():
        refusal = "the cluster named by RAY_ADDRESS cannot be joined: unset RAY_ADDRESS to run here"
        options |= {"address": "auto"}
    else:
        refusal = "Ray did not start on this machine, which may be very busy or short of memory: try again"
        options |= {"address": "local", "include_dashboard": training, "object_store_memory": OBJECT_STORE}
        options |= {"num_cpus": max(logical_cpus, cores())}
        if training:
            options |= {"dashboard_port": _free_port()}
    try:
        with _dashboard_known(options["dashboard_port"]) if "dashboard_port" in options else nullcontext():
            ray.init(**options)
    except Exception as error:  # Ray has no specific exception for this
        raise UserError(f"{refusal} ({redacted(one_line(error, 2000))[:200]})") from error
    try:
        yield
    except ray.exceptions.RayError as error:
        raise _as_user_error(error) from error
    finally:
        ray.shutdown()


def ray_data() -> ModuleType:
    """Return Ray Data, silenced, because the stages show their own progress."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)  # after the import, which sets the level itself
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray.data


def _free_port() -> int:
    """Return a port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _dashboard_known(port: int) -> Iterator[None]:
    """Tell the Ray processes that are started in this block which dashboard is theirs.

    Ray Train asks the dashboard whether a run has ended, and does not find it by itself if several Rays run on one
    machine.
    """
    before = os.environ.get(DASHBOARD)
    os.environ[DASHBOARD] = f"http://127.0.0.1:{port}"
    try:
        yield
    finally:
        del os.environ[DASHBOARD]
        if before is not None:
            os.environ[DASHBOARD] = before


def user_error_in(error: BaseException | None) -> UserError | None:
    """Return the UserError that caused a Ray error, or None if there is none."""
    while error is not None:
        if isinstance(error, UserError):
            return error
        error = getattr(error, "cause", None) or error.__cause__
    return None


def _as_user_error(error: Exception) -> Exception:
    """Convert a Ray error: to the UserError that caused it, to itself if it is our bug, or else to "Ray has ended"."""
    import ray

    if mistake := user_error_in(error):
        return mistake
    if isinstance(error, ray.exceptions.RayTaskError):
        return error
    why = one_line(error)
    return UserError(f"Ray has ended or lost its machines ({why}): run the same command again to resume")


def in_a_job() -> bool:
    """Return whether this process belongs to a job of the cluster that RAY_ADDRESS names.

    Raises:
        UserError: RAY_ADDRESS is an address for submitting jobs.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    if "://" in address:
        raise UserError(
            f"RAY_ADDRESS {redacted(address)} is for submitting jobs: `ray job submit --working-dir . -- COMMAND` "
            "runs this there; unset RAY_ADDRESS to run it here"
        )
    return bool(address)


def gpus() -> int:
    """Return the number of GPUs of the connected cluster."""
    import ray

    return int(ray.cluster_resources().get("GPU", 0))


def cpus() -> int:
    """Return the number of processor cores of the connected cluster, or of this machine if the cluster is local."""
    return task_slots() if in_a_job() else cores()


def task_slots() -> int:
    """Return how many one-CPU tasks the connected cluster runs at once; a local one runs more than there are cores."""
    import ray

    return int(ray.cluster_resources().get("CPU", 0))
