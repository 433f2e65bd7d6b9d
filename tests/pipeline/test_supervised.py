"""A child process does the work that needs Ray; whatever ends it, this process reports one sentence."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipelines.cluster.supervised import supervised
from r2mrf.errors import DataError, UserError
from tests.support.errors import OddError

HERE = "tests.pipeline.test_supervised:"


def double(number: int, report) -> int:
    report(number)
    report(number + 1)
    return 2 * number


def refuse(report) -> None:
    raise DataError("one", "two")


def fail(report) -> None:
    raise ZeroDivisionError("of ours")


def fail_oddly(report) -> None:
    raise OddError("a.jpg", "odd")


def end(how: str, report) -> None:
    os.kill(os.getpid(), signal.SIGKILL) if how == "killed" else os._exit(1)


def sleep(report) -> None:
    report(os.getpid())
    time.sleep(1000)


def test_result_and_reports():
    reported: list[int] = []
    assert supervised(f"{HERE}double", 21, report=reported.append) == 42
    assert reported == [21, 22]


def test_what_the_work_raises_is_raised_here():
    with pytest.raises(DataError, match="one\ntwo") as caught:
        supervised(f"{HERE}refuse", report=print)
    assert caught.value.problems == ["one", "two"]
    with pytest.raises(ZeroDivisionError, match="of ours"):
        supervised(f"{HERE}fail", report=print)
    with pytest.raises(UserError, match=r"a\.jpg: odd"):
        supervised(f"{HERE}fail_oddly", report=print)


@pytest.mark.parametrize(("how", "told"), [("killed", "SIGKILL"), ("ended", "exit status 1")])
def test_a_child_that_is_ended_is_a_sentence(how, told):
    """End the child with status 1, as Ray ends its driver when its raylet is gone."""
    with pytest.raises(
        UserError, match=rf"the work has ended or was killed.*\({told}\): run the same command again to resume"
    ):
        supervised(f"{HERE}end", how, report=print)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_child_does_not_outlive_this_process(number):
    started = f"supervised('{HERE}sleep', report=lambda pid: print(pid, flush=True))"
    code = f"from pipelines.cluster.supervised import supervised; {started}"
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(number)
    parent.communicate(timeout=60)
    child.wait(10)
    assert not child.is_running()


# --- a fork of this process ----------------------------------------------------------------------------------


def forked(*lines: str, number: int | None = None) -> tuple[int, str, str]:
    """Run a program whose work is done in a fork; return exit status, output and errors. `number`: a signal to send."""
    body = "".join(f"    {line}\n" for line in lines)
    imports = "import os, sys, time\nfrom pipelines.cluster.supervised import in_a_fork"
    code = f"{imports}\ndef work():\n{body}in_a_fork(work)"
    root = Path(__file__).parents[2]
    program = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if number is not None:
        child = psutil.Process(int(program.stdout.readline()))
        program.send_signal(number)
    out, err = program.communicate(timeout=60)
    if number is not None:
        child.wait(10)
    return program.returncode, out.decode(), err.decode()


def test_a_fork_ends_as_its_work_does():
    assert forked("print('done')") == (0, "done\n", "")
    assert forked("print('error: x', file=sys.stderr)", "sys.exit(2)") == (2, "", "error: x\n")
    assert forked("sys.exit(130)") == (130, "", "")
    status, _, err = forked("1 / 0")
    assert (status, err.count("Traceback"), "has ended" in err) == (1, 1, False)


@pytest.mark.parametrize("how", ["os._exit(1)", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_fork_that_is_ended_is_a_sentence(how):
    status, _, err = forked(how)
    assert (status, err.count("\n")) == (2, 1)
    assert "error: the work has ended or was killed" in err and "run the same command again to resume" in err


def test_a_fork_does_not_outlive_its_parent():
    work = "print(os.getpid(), flush=True)", "time.sleep(1000)"
    assert "KeyboardInterrupt" in forked(*work, number=signal.SIGINT)[2]
    assert forked(*work, number=signal.SIGKILL)[0] == -signal.SIGKILL
