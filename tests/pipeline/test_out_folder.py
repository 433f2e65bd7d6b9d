"""The output folder of scoring: the user's files stay, and a marker identifies our own."""

import json
import os
from pathlib import Path

import pytest

from pipelines.library.ledger import Ledger
from pipelines.library.out_folder import MARKER, OutFolder
from pipelines.library.photo import Photo
from r2mrf.errors import UserError

# names of a user's that look like temporary files
SHARD = ".shard-00000-0123456789abcdef.parquet.0123456789ab"
HIDDEN = (".2021.holiday.jpg", ".IMG_0412.JPG.icloud", "._2020.01.JPG", SHARD)


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def users(tmp_path) -> Path:
    """A folder of photos, with a sub-folder that has a name of ours."""
    for name in [*HIDDEN, "a.jpg", *(f"maps/{name}" for name in HIDDEN)]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_a_users_files_stay(users):
    before = contents(users)
    for _ in range(2):
        OutFolder.claim(users, maps=False)
        assert before.items() <= contents(users).items()


def test_maps_of_a_users_are_not_mixed_with_ours(users):
    OutFolder.claim(users, maps=False)
    with pytest.raises(UserError, match="maps already exists and was not made by `r2mrf score`"):
        OutFolder.claim(users, maps=True)


@pytest.mark.parametrize("name", ["scores/mine.parquet", "manifest/x", "summary.json", "engines.json", "report.html"])
def test_a_folder_where_outputs_would_mix_with_user_files_is_refused(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"{name.partition('/')[0]} already exists"):
        OutFolder.check(tmp_path, maps=False)
    assert contents(tmp_path) == {name: "mine"}


def test_only_unfinished_files_are_swept(tmp_path):
    folder = OutFolder.claim(tmp_path, maps=True)
    (folder.scratch / "half").write_text("half")
    for place in ("maps", "scores", "manifest", ".r2mrf-0123"):
        (tmp_path / place).mkdir(exist_ok=True)
        for name in HIDDEN:
            (tmp_path / place / name).write_text("mine")
    again = OutFolder.claim(tmp_path, maps=True)
    assert again == folder
    assert len([name for name, text in contents(tmp_path).items() if text == "mine"]) == 4 * len(HIDDEN)
    assert not list(again.scratch.iterdir())


def test_a_pipe_in_place_of_the_marker_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / MARKER)
    assert OutFolder.find(tmp_path) is None


def test_writing_is_all_or_nothing(tmp_path):
    folder = OutFolder.claim(tmp_path, maps=True)
    with folder.writing("maps", "a.png") as file:
        file.write_text("first")
    with pytest.raises(RuntimeError), folder.writing("maps", "a.png") as file:
        file.write_text("sec")
        raise RuntimeError
    assert (tmp_path / "maps/a.png").read_text() == "first"
    assert not list(folder.scratch.iterdir())


@pytest.mark.parametrize("marker", ["", "{}", "[]", '{"id": "../..", "folders": []}', '{"id": 3, "folders": 4}', None])
def test_a_table_scored_before_is_gone_on_with(tmp_path, marker):
    """Such a folder has shards, and no marker or a damaged one."""
    old = Ledger(tmp_path, "0123456789abcdef")
    old.add([Photo("/a", b"/a")])
    if marker is not None:
        (tmp_path / MARKER).write_text(marker)
    folder = OutFolder.claim(tmp_path, maps=False)
    assert {"manifest", "scores"} <= set(folder.folders)
    assert json.loads((tmp_path / MARKER).read_text())["id"] == folder.identity == OutFolder.of(tmp_path).identity
    assert Ledger(tmp_path, "0123456789abcdef").photos(0) == [Photo("/a", b"/a")]
