"""Every file of a library comes back as a photo or with a reason; none ends the reader."""

import os
import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.library.photo import Photo, local_photo
from pipelines.library.walk import Library
from pipelines.scoring import reader
from pipelines.scoring.job import ScoringJob
from r2mrf.config import Score
from r2mrf.imaging import images
from r2mrf.imaging.preprocess import Preprocess
from tests.support.photos import save_photo

PREPROCESS = Preprocess(64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# Stands in for a decoder with a bug, in the child's process: these bytes end it, stop it, or eat its memory.
POISON = """
import os, signal, time
import PIL.Image as pillow
opened = pillow.open
def open(file, *arguments, **options):
    data = file.getvalue()
    if b"POISON crash" in data: os.kill(os.getpid(), signal.SIGSEGV)
    if b"POISON hang" in data: time.sleep(1000)
    if b"POISON eat" in data: bytearray(1 << 36)
    return opened(file, *arguments, **options)
pillow.open = open
"""


def job_of(library: Library, **options) -> ScoringJob:
    options = Score(**options)
    return ScoringJob({}, "model", "hash", PREPROCESS, options, "torch", "fp32", library.addresses)


def read(*sources: object, **options) -> dict[str, reader.ReadPhoto]:
    """Return the result of each photo by its path, relative to the source."""
    library = Library([str(source) for source in sources])
    photos = list(library.photos())
    seen = reader.read(photos, job_of(library, **options))
    assert [s.photo for s in seen] == photos
    reader.guard_for(PREPROCESS, Score(**options)).close()
    top = Path(sources[0]) if Path(sources[0]).is_dir() else Path(sources[0]).parent
    return {s.photo.path.removeprefix(f"{top}/"): s for s in seen}


def reasons(seen: dict[str, reader.ReadPhoto]) -> dict[str, str]:
    """`ok`, or the first word of the error."""
    for s in seen.values():
        assert (s.shrunk is None) == (s.error is not None)
        assert s.error is None or s.error.reason in images.REASONS
        assert s.shrunk is None or s.shrunk.pixels.shape == (64, 64, 3)
    return {name: s.error.reason if s.error else "ok" for name, s in seen.items()}


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> None:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A folder with every kind of file, and the expected result of each."""
    folder = tmp_path_factory.mktemp("zoo")
    noise = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    good = save_photo(folder / "good.jpg", (80, 100)).read_bytes()
    grey = noise[..., 0]
    save(folder / "cmyk.jpg", noise, "CMYK")
    save(folder / "sixteen.png", grey.astype(np.uint16) * 257)
    save(folder / "float.tif", grey.astype(np.float32) / 255)
    save(folder / "palette.png", noise, "P")
    save(folder / "alpha.png", np.dstack([noise, grey]))
    frames = [Image.fromarray(np.roll(grey, 9 * i)) for i in range(3)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    save_photo(folder / "turned.jpg", (50, 90), turn=6)
    (folder / "really_a_jpeg.png").write_bytes(good)
    (folder / "truncated.jpg").write_bytes(good[: len(good) // 2])
    (folder / "middle.jpg").write_bytes(good[:3000] + b"\xff\xd9\xff\xd8" * 50 + good[3200:])
    (folder / "zero.jpg").touch()
    (folder / "text.jpg").write_text("a letter")
    save(folder / "one.png", noise[:1, :1])
    save(folder / "thin.png", np.zeros((1, 20_000, 3), np.uint8))
    save(folder / "bomb.png", np.zeros((13_400, 13_400), np.uint8) > 0, optimize=True)  # 180 megapixels, 22 kB
    os.mkfifo(folder / "pipe.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "ring.jpg").symlink_to("ring.jpg")
    (folder / "dangling.jpg").symlink_to("nothing")
    (folder / "ring").symlink_to(".")
    shutil.copy(folder / "good.jpg", os.fsencode(folder) + b"/caf\xe9.jpg")
    for name in ("a", "b"):
        (folder / name).mkdir()
        shutil.copy(folder / "good.jpg", folder / name / "same.jpg")
    gate = socket.socket(socket.AF_UNIX)
    where = Path.cwd()
    os.chdir(folder)  # a socket's path must be short
    gate.bind("socket.jpg")
    os.chdir(where)
    failed = {
        **dict.fromkeys(["truncated.jpg", "middle.jpg"], "corrupt"),
        **dict.fromkeys(["one.png", "thin.png"], "too_small"),
        **dict.fromkeys(["pipe.jpg", "device.jpg", "ring.jpg", "dangling.jpg", "socket.jpg"], "not_a_file"),
        "zero.jpg": "empty",
        "text.jpg": "not_an_image",
        "bomb.png": "too_large",
    }
    jpegs = ("good", "cmyk", "turned", "caf\\xe9", "a/same", "b/same")
    others = ("sixteen.png", "float.tif", "palette.png", "alpha.png", "animated.gif", "really_a_jpeg.png")
    return folder, failed | dict.fromkeys([*(f"{name}.jpg" for name in jpegs), *others], "ok")


def test_every_animal_of_the_zoo(zoo):
    folder, expected = zoo
    assert reasons(read(folder)) == expected


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_forbidden_photo(tmp_path):
    save_photo(tmp_path / "a.jpg").chmod(0)
    assert reasons(read(tmp_path)) == {"a.jpg": "unreadable"}


@pytest.fixture
def poisoned(tmp_path, monkeypatch) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(POISON)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    folder = tmp_path / "photos"
    for i in (1, 3, 5, 7):
        save_photo(folder / f"{i}.jpg", seed=i)
    for i, kind in ((2, "crash"), (4, "hang"), (6, "eat")):
        (folder / f"{i}.jpg").write_bytes(f"POISON {kind}".encode())
    return folder


def test_poison_costs_nothing_but_itself(poisoned):
    seen = read(poisoned, seconds=3)
    expected = dict.fromkeys(["1.jpg", "3.jpg", "5.jpg", "7.jpg"], "ok")
    assert reasons(seen) == expected | {"2.jpg": "crashed", "4.jpg": "timeout", "6.jpg": "too_large"}
    assert "SIGSEGV" in str(seen["2.jpg"].error)
    assert "3 seconds" in str(seen["4.jpg"].error)


@pytest.mark.parametrize("rows_in_a_group", [1, 2, 100])
def test_images_in_a_table(tmp_path, rows_in_a_group):
    data = [save_photo(tmp_path / "a.jpg", seed=i).read_bytes() for i in range(3)] + [b"", b"text", None]
    table = pa.table({"image": pa.array(data, pa.binary())})
    pq.write_table(table, tmp_path / "held.parquet", row_group_size=rows_in_a_group)
    seen = read(tmp_path / "held.parquet")
    names = [f"held.parquet#{row}" for row in range(6)]
    assert reasons(seen) == dict(zip(names, ["ok"] * 3 + ["empty", "not_an_image", "empty"], strict=True))
    assert len({s.shrunk.content_sha256 for s in seen.values() if s.shrunk}) == 3


def test_a_reader_reads_a_row_group_once(tmp_path, groups_read):
    data = [save_photo(tmp_path / "a.jpg", seed=i).read_bytes() for i in range(6)]
    pq.write_table(pa.table({"image": data}), tmp_path / "held.parquet", row_group_size=3)
    library = Library([str(tmp_path / "held.parquet")])
    photos, job = list(library.photos()), job_of(library)
    seen = [*reader.read(photos[:2], job), *reader.read(photos[2:], job)]
    assert [s.error for s in seen] == [None] * 6
    assert groups_read == [0, 1]


def test_a_table_that_was_cut_since_it_was_listed(tmp_path):
    pq.write_table(pa.table({"image": [b"1", b"2"]}), tmp_path / "held.parquet")
    library = Library([str(tmp_path / "held.parquet")])
    photos = list(library.photos())
    (tmp_path / "held.parquet").write_bytes(b"PAR1")
    (first, _) = reader.read(photos, job_of(library))
    assert str(first.error).startswith("unreadable: ")


def test_a_photo_that_went_since_it_was_listed(tmp_path):
    library = Library([str(save_photo(tmp_path / "a.jpg"))])
    (seen,) = reader.read([local_photo(str(tmp_path / "gone.jpg"))], job_of(library))
    assert str(seen.error).startswith("unreadable: No such file")


def test_what_is_out_of_reach(tmp_path):
    library = Library([str(save_photo(tmp_path / "a.jpg"))], Score(allow=("memory://*",)))
    photos = [Photo(f"{name}://box/gone.jpg", f"{name}://box/gone.jpg".encode()) for name in ("memory", "s3")]
    known, other = reader.read(photos, job_of(library))
    assert str(known.error).startswith("unreadable: ")
    assert str(other.error) == "not_allowed: --allow s3://box would permit reading from there"
