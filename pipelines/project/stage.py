"""The command of every stage: read params.yaml, run, and turn a user's mistake into one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from pipelines.storage.outputs import outputs_synchronised
from r2mrf.config import Config, load
from r2mrf.errors import UserError
from r2mrf.system.address import redacted


def main(stage: Callable[[Config], None]) -> None:
    """The command line of a stage, which takes all from params.yaml: `--help`, or a run."""
    about = sys.modules[stage.__module__].__doc__
    argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter, epilog="No arguments: see params.yaml."
    ).parse_args()
    run(stage)


def run(stage: Callable[[Config], None]) -> None:
    """Run a stage as a program: exit status 0, or 2 with one line for what a user can mend."""
    try:
        config = load()
        with outputs_synchronised(config.storage):
            stage(config)
    except UserError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a full disk, a folder that is read-only, a storage out of reach
        why = redacted(" ".join(str(error).split()))
        print(f"error: {why}; mend that, and the same command goes on from here", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
