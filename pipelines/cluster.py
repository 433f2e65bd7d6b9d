"""The Ray cluster a stage runs on: the one it was submitted to, or one of its own on this machine."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r2mrf.errors import UserError

# Readers, actors, train workers and their drivers each claim logical CPUs; on a machine with two, a job
# with several kinds of them would wait for itself for ever.
ROOM = 8


@contextmanager
def connect(logical_cpus: int = ROOM, training: bool = False) -> Iterator[None]:
    """Join the cluster that submitted this job (RAY_ADDRESS), else start a local one, and leave it at the end.

    Args:
        logical_cpus: of a local one: how many tasks of one CPU may run at a time.
        training: show what workers print, and start the dashboard, without which Ray Train cannot clean up.
    """
    import ray
    from ray.data import DataContext

    for chatty in ("ray.data", "ray._private.authentication"):  # the stages show their progress; tokens are meant
        logging.getLogger(chatty).setLevel(logging.ERROR)
    quiet = {"log_to_driver": training, "logging_level": logging.WARNING}
    if in_a_job():
        ray.init(address="auto", **quiet)
    else:
        _start(num_cpus=max(logical_cpus, cores()), include_dashboard=training, **quiet)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    try:
        yield
    finally:
        ray.shutdown()


def _start(**options) -> None:
    """A cluster of this process's own."""
    import ray

    try:
        ray.init(address="local", object_store_memory=512 * 2**20, **options)
    except Exception as error:  # Ray has no type for it
        why = " ".join(str(error).split())[:200]
        raise UserError(
            f"Ray did not start on this machine ({why}); it may be very busy, or short of memory: try again"
        ) from error


def in_a_job() -> bool:
    """Whether this process belongs to a job of a cluster, which RAY_ADDRESS then names.

    Raises:
        UserError: RAY_ADDRESS is the address for submitting jobs.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    if "://" in address:
        raise UserError(
            f"RAY_ADDRESS {address} is where jobs are submitted: `ray job submit --working-dir . -- COMMAND` runs this "
            "there; unset RAY_ADDRESS to run it here"
        )
    return bool(address)


def gpus() -> int:
    """GPUs of the connected cluster."""
    import ray

    return int(ray.cluster_resources().get("GPU", 0))


def cpus() -> int:
    """Processor cores of the connected cluster; of this machine, where the cluster is one of its own."""
    import ray

    return int(ray.cluster_resources().get("CPU", 1)) if in_a_job() else cores()


def cores() -> int:
    """Processor cores of this machine that this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> str:
    """Cores that this process may use, and what they are."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []:
        if line.startswith("model name"):
            return f"{cores()} cores, {line.partition(':')[2].strip()}"
    return f"{cores()} cores, {platform.machine()}"
