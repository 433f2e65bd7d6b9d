"""The command of every stage: how it reports errors, and which files it writes."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.project.stage import main, run
from pipelines.project.tables import write_csv
from r2mrf.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        (UserError("a.jpg: cannot be used"), 2, "error: a.jpg: cannot be used"),
        (PermissionError(13, "Permission denied", "models"), 2, "error: [Errno 13] Permission denied: 'models': fix"),
        (OSError("When listing objects:\nNETWORK_CONNECTION"), 2, "error: When listing objects: NETWORK_CONNECTION: f"),
        (KeyboardInterrupt(), 130, "stopped: run the same command again to resume"),
    ],
)
def test_an_error_that_a_user_can_fix_is_one_line(monkeypatch, capsys, wrong, status, said):
    def stage(config):
        raise wrong

    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as left:
        run(stage)
    assert left.value.code == status
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == 1


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("--dry-run", 2), ("again", 2)])
def test_a_stage_takes_no_arguments(monkeypatch, capsys, argument, status):
    monkeypatch.setattr("sys.argv", ["stage", argument])
    ran = []

    def stage(config):
        ran.append(config)

    with pytest.raises(SystemExit) as left:
        main(stage)
    assert (left.value.code, ran) == (status, [])
    out, err = capsys.readouterr()
    assert (__doc__ in out) if status == 0 else (f"unrecognized arguments: {argument}" in err)


def test_a_line_in_a_log_does_not_wait_for_the_next():
    stage = "lambda config: [print('step 1'), sys.stdin.read()]"  # goes on until its input is closed
    code = f"import sys; from pipelines.project.stage import run; run({stage})"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes, cwd=ROOT, env=buffered) as child:
        readable, _, _ = select.select([child.stdout], [], [], 60)
        assert readable, "nothing is printed before the stage ends"
        assert child.stdout.readline() == b"step 1\n"
        child.stdin.close()


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ZeroDivisionError):
        run(lambda config: 1 / 0)


def test_a_table_appears_whole_or_not_at_all(tmp_path):
    path, written = tmp_path / "deep/table.csv", 'name,f\r\nR²MRF,0.5\r\n"a, ""b""",\r\n'.encode()
    write_csv(path, [{"name": "R²MRF", "f": 0.5}, {"name": 'a, "b"', "f": None}])
    assert path.read_bytes() == written
    with pytest.raises(ValueError, match="other"):
        write_csv(path, [{"name": "x"}, {"other": 1}])
    assert path.read_bytes() == written
    assert [file.name for file in path.parent.iterdir()] == ["table.csv"]
