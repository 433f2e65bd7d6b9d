"""`r2mrf score --dry-run` counts the photos that are to be scored, estimates the time, and writes nothing."""

import re
import shutil

import pytest

from tests.support.command import command
from tests.support.scored_files import files_of


def test_dry_run_counts_and_estimates_and_writes_nothing(story, tiny_model, tmp_path):
    before = files_of(story.out)
    source = story.library / "b"
    status, out, err = command("score", source, "--out", tmp_path / "out", "--model", tiny_model, "--dry-run")
    assert (status, err) == (0, [])
    assert re.fullmatch(r"4 photos, 4 of them to be scored: about .* at .* photos/s, from a trial .* torch .*", out[0])
    assert not (tmp_path / "out").exists()
    score = ("score", story.library, "--out", story.out, "--maps", "--model", tiny_model, "--engine", "torch")
    assert command(*score, "--dry-run").out == ["7 photos, 0 of them to be scored"]
    assert files_of(story.out) == before
    (tmp_path / "list.txt").write_text("gone.jpg\ngone too.jpg\n")
    gone = command("score", tmp_path / "list.txt", "--out", tmp_path / "out", "--model", tiny_model, "--dry-run").out
    assert gone == ["2 photos, 2 of them to be scored (not there: 2)"]


@pytest.mark.parametrize("engine", ["auto", "onnx", "openvino"])
def test_dry_run_without_a_decision_on_the_precision(story, tiny_model, tmp_path, engine):
    score = ("score", story.library, "--out", tmp_path / "out", "--model", tiny_model, "--dry-run")
    status, out, _ = command(*score, "--engine", engine, "--precision", "auto")
    assert status == 0
    assert f"from a trial with the engine {'torch' if engine == 'auto' else engine} on" in out[0]


def test_dry_run_counts_what_a_stopped_run_has_begun(story, tiny_model, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(story.out, out)
    for shard in (out / "scores").iterdir():  # so that only the manifests are there
        shard.unlink()
    score = ("score", story.library, "--out", out, "--maps", "--model", tiny_model, "--engine", "torch", "--dry-run")
    assert command(*score).out[0].startswith("7 photos, 7 of them to be scored (not there: 1): about ")
