"""Names with control characters: escaped on a terminal, byte for byte for a program."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.support.scored_folder import failed, ok, save_table

NAME = "/p/\x1b[31mred\x07\n\x9b.jpg"


def on_terminal(*command: str) -> bytes:
    """Run a command on a terminal; return its output and errors."""
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-m", "pipelines.command.cli", *command], stdout=theirs, stderr=theirs, check=False)
    os.close(theirs)
    text = b""
    while True:
        try:
            text += os.read(ours, 65536)
        except OSError:  # the end of a terminal
            os.close(ours)
            return text


def test_names_in_lists_and_errors(tmp_path):
    save_table(tmp_path, [ok(NAME, 0.9), failed("/p/x.jpg")])
    listed = on_terminal("report", str(tmp_path), "--list", "blurred")
    assert listed == b"/p/\\x1b[31mred\\x07\\x0a\\x9b.jpg\r\n"
    said = on_terminal("map", "/nowhere/\x1b[2J\x9b.jpg", "-o", str(tmp_path / "maps"))
    assert b"failed: /nowhere/\\x1b[2J\\x9b.jpg: unreadable" in said
    assert b"\x1b" not in said


def test_a_program_gets_the_name_itself(tmp_path):
    save_table(tmp_path, [ok(NAME, 0.9), failed("/p/x.jpg")])
    command = [sys.executable, "-m", "pipelines.command.cli", "report", str(tmp_path), "--list", "blurred", "-0"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == os.fsencode(NAME) + b"\0"
    assert not Path(tmp_path / "report.html").exists()
