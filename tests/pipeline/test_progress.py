"""The line of progress, on a terminal and in a log."""

import io
import sys

import pytest

from pipelines.cluster.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with progress(total=4, unit=" photos", desc="score") as bar:
        bar.mininterval = bar.miniters = 0
        for _ in range(4):
            bar.update()
    return stream.getvalue()


def test_a_terminal_line_is_rewritten(monkeypatch):
    text = shown(monkeypatch, Terminal())
    assert text.count("\r") >= 4
    assert text.count("\n") == 1


def test_a_log_gets_whole_lines(monkeypatch):
    text = shown(monkeypatch, io.StringIO())
    assert "\r" not in text
    assert text.endswith("\n")
    lines = text.splitlines()
    assert [line.split("|")[2].split()[0] for line in lines[:5]] == ["0/4", "1/4", "2/4", "3/4", "4/4"]
    assert all(line.startswith("score: ") and "photos/s" in line for line in lines)
