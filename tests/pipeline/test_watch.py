"""`r2mrf score --watch`: photos are scored as they come, each once, by one crew, until Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.command.cli import main
from pipelines.scoring import crew, run
from r2mrf.config import Score
from tests.support.patience import PATIENCE
from tests.support.photos import save_photo


def rows_of(out: Path) -> dict[str, str]:
    """Return the status of each photo by name."""
    rows = [row for file in (out / "scores").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert len(rows) == len({row["path"] for row in rows})
    return {Path(row["path"]).name: row["status"] for row in rows}


def test_photos_are_scored_as_they_come(tiny_model, tmp_path, monkeypatch):
    library, out, seen, crews = tmp_path / "photos", tmp_path / "out", [], []
    library.mkdir()

    def come() -> None:
        save_photo(library / "a.jpg", seed=1)

    def change() -> None:
        save_photo(library / "b.jpg", seed=2)
        (library / "c.jpg").write_bytes((library / "b.jpg").read_bytes()[:500])  # half copied

    def be_whole() -> None:
        save_photo(library / "c.jpg", seed=3)
        (library / "a.jpg").unlink()

    def go() -> None:
        (library / "b.jpg").unlink()

    happens = iter([come, change, lambda: None, be_whole, go])

    def pause(seconds: float) -> None:
        assert seconds == 9
        if (out / "summary.json").exists():
            seen.append(rows_of(out))
        next(happens, stop)()

    def stop() -> None:
        raise KeyboardInterrupt

    class Counted(crew.Crew):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            crews.append(self)

    monkeypatch.setattr(run, "pause", pause)
    monkeypatch.setattr(run, "Crew", Counted)
    options = Score(engine="torch", watch=9, prune=True)
    with pytest.raises(KeyboardInterrupt):
        run.score([str(library)], out, str(tiny_model), options, lambda photos: None)
    after_change = {"a.jpg": "ok", "b.jpg": "ok", "c.jpg": "failed"}
    assert seen == [{"a.jpg": "ok"}, after_change, after_change, {"b.jpg": "ok", "c.jpg": "ok"}, {"c.jpg": "ok"}]
    assert json.loads((out / "summary.json").read_text())["total"] == 1
    assert len(crews) == 1


def test_the_command_is_interrupted(tiny_model, tmp_path):
    save_photo(tmp_path / "photos/a.jpg")
    out = tmp_path / "out"
    command = [Path(sys.executable).parent / "r2mrf", "score", tmp_path / "photos", "--out", out]
    watching = subprocess.Popen(
        [*command, "--model", tiny_model, "--engine", "torch", "--watch", "0.2"], stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, start_new_session=True,
    )  # fmt: skip
    for number in (1, 2):
        until = time.monotonic() + PATIENCE
        while len(list((out / "scores").glob("*.parquet"))) < number:
            assert watching.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        save_photo(tmp_path / f"photos/{number}.jpg", seed=number)
    os.killpg(watching.pid, signal.SIGINT)
    said = watching.communicate(timeout=PATIENCE)[1]
    assert watching.returncode == 130
    assert "1 of 1 photos scored; watching" in said
    assert "Traceback" not in said
    assert rows_of(out).items() >= {"a.jpg": "ok", "1.jpg": "ok"}.items()


@pytest.mark.parametrize("pause", ["0", "-1", "nan", "soon", "100000"])
def test_a_pause_that_is_none_is_refused(pause, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["score", str(tmp_path), "--out", str(tmp_path / "out"), f"--watch={pause}"])
    assert f"argument --watch: {pause}: give a number of seconds, above 0 and up to 86400" in capsys.readouterr().err
