"""The library that the tests of this folder share, and what four runs of `r2mrf score` made of it."""

import os
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines.library.out_folder import OutFolder
from tests.support.command import Run, command
from tests.support.model import save_tiny_model
from tests.support.photos import save_photo
from tests.support.scored_files import Files, files_of, summary_of, table_of


class Story(NamedTuple):
    library: Path
    out: Path
    runs: dict[str, Run]
    files: dict[str, Files]  # below `out` after each run


def lose_some(out: Path) -> None:
    """Change the table as if its run had been killed: one shard is listed but not done, and one file is incomplete."""
    (shard,) = (out / "scores").iterdir()
    shard.unlink()
    scratch = OutFolder.of(out).scratch
    scratch.mkdir(exist_ok=True)
    (scratch / "123").write_bytes(b"PAR1 and no more")


@pytest.fixture(scope="package")
def story(tiny_model, tmp_path_factory) -> Story:
    """Run four times. first: scored with maps; again: the same command; grown: a new photo; other: another model."""
    library = tmp_path_factory.mktemp("library")
    out = library / "the table"  # inside the library: its maps must not be taken for photos
    save_photo(library / "a.jpg", (60, 80), seed=1)
    save_photo(library / "b" / "turned.JPG", (50, 90), seed=2, turn=6)
    save_photo(library / "b" / "c" / "same.jpg", (60, 80), seed=1)
    save_photo(library / os.fsdecode(b"caf\xe9.png"), (40, 40), seed=3)
    (library / "b" / "broken.png").write_text("no picture")
    (library / "b" / "notes.doc").write_text("not looked at")
    (library / "dangling.jpg").symlink_to("nowhere")
    score = ("score", library, "--out", out, "--maps", "--model", tiny_model, "--engine", "torch")
    runs, files = {"first": command(*score)}, {"first": files_of(out)}
    runs["again"], files["again"] = command(*score), files_of(out)
    lose_some(out)
    save_photo(library / "b" / "new.jpg", (30, 70), seed=4)
    runs["grown"], files["grown"] = command(*score), files_of(out)
    model = save_tiny_model(tmp_path_factory.mktemp("other") / "model", seed=1)
    runs["other"] = command("score", library / "b", "--out", out, "--model", model, "--engine", "torch")
    files["other"] = files_of(out)
    return Story(library, out, runs, files)


@pytest.fixture(scope="package")
def rows(story) -> dict[str, dict]:
    """Return the rows of the first run by name below the library."""
    table = table_of(story.files["first"], summary_of(story.files["first"])["fingerprint"])
    return {row["path"].removeprefix(f"{story.library}/"): row for row in table}
