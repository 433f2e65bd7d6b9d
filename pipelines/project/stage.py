"""The command of every stage: reads params.yaml, runs the stage, and turns a UserError into one line."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipelines.cluster.supervised import in_a_fork
from pipelines.storage.outputs import outputs_synchronised
from r2mrf.config import Config, load
from r2mrf.errors import UserError
from r2mrf.system.address import redacted


def main(stage: Callable[[Config], None], uses_ray: bool = False) -> None:
    """Run a stage from the command line; its only option is `--help`, since all settings are in params.yaml.

    Args:
        uses_ray: whether the stage itself connects to Ray, which ends such a process without a message when Ray's own
            processes are killed.
    """
    about = sys.modules[stage.__module__].__doc__
    argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter, epilog="No arguments: see params.yaml."
    ).parse_args()
    if uses_ray:
        in_a_fork(lambda: run(stage))
    run(stage)


def run(stage: Callable[[Config], None]) -> None:
    """Run a stage as a program, with its outputs stored where params.yaml says."""
    with as_program():
        config = load()
        with outputs_synchronised(config.storage):
            stage(config)


@contextmanager
def as_program() -> Iterator[None]:
    """Exit with status 2 and one line if an error is raised that the user can fix, with 130 after Ctrl-C.

    Every line that is printed appears at once, also in a file, for which Python would collect many lines.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    try:
        yield
    except UserError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a full disk, a read-only folder, an unreachable storage
        why = redacted(" ".join(str(error).split()))
        print(f"error: {why}: fix that, then run the same command again to resume", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped: run the same command again to resume", file=sys.stderr)
        sys.exit(130)
