"""The command `r2mrf`, run in this process: its exit status, lines of output and lines of errors."""

import contextlib
import io
from typing import NamedTuple

from pipelines.command.cli import main


class Run(NamedTuple):
    status: int
    out: list[str]
    err: list[str]


def command(*arguments: object) -> Run:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(map(str, arguments)))
    return Run(status, out.getvalue().splitlines(), err.getvalue().splitlines())


def refused(run: Run, *parts: str) -> None:
    """Check for exit status 2 and one line that contains these texts."""
    assert (run.status, run.out, len(run.err)) == (2, [], 1)
    for part in ("r2mrf: ", *parts):
        assert part in run.err[0]
