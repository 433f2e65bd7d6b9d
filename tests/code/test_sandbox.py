"""A child process takes the damage, and only the call that caused it fails."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from r2mrf.errors import UserError
from r2mrf.system import sandbox as guards
from r2mrf.system.sandbox import Guard, Lost
from tests.support.errors import OddError

ROOT = Path(__file__).parents[2]
MEMORY = 1 << 30


def test_a_child_imports_nothing_from_the_current_folder(tmp_path):
    """Photos may be scored in a folder of anyone's files."""
    (tmp_path / "resource.py").write_text("from pathlib import Path; Path('ran').touch()")
    code = f"import sys; sys.path[0] = {str(ROOT)!r}; from r2mrf.system.sandbox import Guard; "
    code += "print(Guard(len, seconds=9, memory=1 << 30)('four'))"
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "4\n"
    assert not (tmp_path / "ran").exists()


def act(what: str, diary: str = "") -> object:
    """Do a child's work in these tests; each call writes a line with its process id."""
    if diary:
        with Path(diary).open("a") as file:
            file.write(f"{what} {os.getpid()}\n")
    if what == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "leave":
        os._exit(3)
    if what == "die once" and Path(diary).read_text().count("die once") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang":
        time.sleep(1000)
    if what == "interrupt":
        os.kill(os.getppid(), signal.SIGUSR1)
        time.sleep(0.5)
    if what == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if what == "eat":
        return len([np.ones(1 << 27, np.uint8) for _ in range(100)])
    if what == "refuse":
        raise UserError("no such photo")
    if what == "refuse oddly":
        raise OddError("a.jpg", "odd")
    return what, os.getpid()


@pytest.fixture
def diary(tmp_path) -> Path:
    return tmp_path / "diary"


@pytest.fixture
def guard(diary):
    made = Guard(partial(act, diary=str(diary)), seconds=30, memory=MEMORY)
    yield made
    made.close()


def calls(diary: Path, what: str) -> int:
    return sum(line.startswith(what) for line in diary.read_text().splitlines())


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, even if it has not been waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while not is_gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_child_serves_many_calls(guard):
    pids = {guard(str(i))[1] for i in range(5)}
    assert len(pids) == 1
    assert os.getpid() not in pids


def test_errors_come_back_as_they_are(guard):
    _, pid = guard("before")
    with pytest.raises(UserError, match="no such photo"):
        guard("refuse")
    with pytest.raises(UserError, match=r"a\.jpg: odd"):
        guard("refuse oddly")
    assert guard("after") == ("after", pid)


def test_large_results_come_back_whole():
    guard = Guard(np.arange, seconds=30, memory=MEMORY)
    np.testing.assert_array_equal(guard(10**6), np.arange(10**6))
    guard.close()


@pytest.mark.parametrize(("what", "how"), [("die", "SIGSEGV"), ("leave", "exit status 3")])
def test_a_crashing_call_is_tried_twice_then_given_up(guard, diary, what, how):
    with pytest.raises(Lost, match=how) as caught:
        guard(what)
    assert caught.value.reason == "crashed"
    assert calls(diary, what) == 2
    assert guard("next")[0] == "next"


def test_a_death_that_was_not_the_works_fault(guard):
    assert guard("die once")[0] == "die once"


def test_a_hanging_call_is_ended(diary):
    guard = Guard(partial(act, diary=str(diary)), seconds=0.5, memory=MEMORY)
    with pytest.raises(Lost, match="not done in") as caught:
        guard("hang")
    assert caught.value.reason == "timeout"
    assert calls(diary, "hang") == 2
    assert guard("next")[0] == "next"
    guard.close()


def test_a_process_deaf_to_its_timer_is_killed(diary, monkeypatch):
    monkeypatch.setattr(guards, "GRACE", 0.5)
    guard = Guard(partial(act, diary=str(diary)), seconds=0.5, memory=MEMORY, tries=1)
    with pytest.raises(Lost, match="not done"):
        guard("stop")
    wait_until_gone(int(diary.read_text().split()[-1]))


def test_memory_is_bounded(guard):
    with pytest.raises(MemoryError):
        guard("eat")
    assert guard("next")[0] == "next"


INTERRUPTED = """
import signal, sys
from tests.code.test_sandbox import MEMORY, act
from r2mrf.system.sandbox import Guard

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGUSR1, interrupt)
guard = Guard(act, seconds=30, memory=MEMORY)
try:
    guard("interrupt")
except KeyboardInterrupt:
    print("interrupted,", guard("next")[0])
guard.close()
"""


def test_an_interrupted_call_is_not_answered_later():
    """Run in a separate process: a late signal would end the process that runs the tests."""
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], env=os.environ | {"PYTHONPATH": path},
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "interrupted, next\n", done.stderr


def test_close_ends_the_child(guard):
    _, pid = guard("here")
    guard.close()
    assert is_gone(pid)


def test_child_ends_with_its_parent():
    code = "import os; from r2mrf.system.sandbox import Guard; "
    code += "print(Guard(os.getpid, 30, 1 << 30)(), flush=True); os._exit(9)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 9
    wait_until_gone(int(done.stdout))
