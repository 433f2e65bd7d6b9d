"""Which photos a library has, from every kind of source, and in which order."""

import json
import os
import pickle
import re
import shutil
from pathlib import Path

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.library.ledger import Ledger
from pipelines.library.out_folder import OutFolder
from pipelines.library.photo import Photo
from pipelines.library.walk import Library
from pipelines.project.samples import samples
from pipelines.storage.addresses import Addresses, without_secrets
from r2mrf.errors import UserError
from r2mrf.imaging import images
from tests.support.object_store import endpoint
from tests.support.photos import save_photo


def photos(*sources: object) -> list[str]:
    return [photo.path for photo in Library([str(source) for source in sources]).photos()]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("p/b.jpg", "p/a.PNG", "p/deep/er/c.webp", "elsewhere/d.jpg"):
        save_photo(tmp_path / name)
    (tmp_path / "p" / "x.txt").write_text("no list")
    return tmp_path


# --- folders ---------------------------------------------------------------------------------------------


def test_photos_below_a_folder(here):
    expected = [str(here / "p" / name) for name in ("a.PNG", "b.jpg", "deep/er/c.webp")]
    assert photos("p") == photos(here / "p", "p/b.jpg", "p/deep") == expected


def test_pictures_that_scoring_made_are_no_photos(here):
    out = OutFolder.claim(here / "p/run", maps=True)
    made = (f"maps/{'ab' * 16}.png", f"thumbnails/{'cd' * 16}.jfif", "thumbnails/ab-map.apng")
    users = ("maps/holiday.jpg", f"maps/deeper/{'ab' * 16}.png", f"scores/{'ab' * 16}.png")
    for name in (*made, *users):
        (out.path / name).parent.mkdir(parents=True, exist_ok=True)
        save_photo(here / "source.png").replace(out.path / name)
    save_photo(here / f"p/maps/{'ab' * 16}.png")  # in a folder of the user's
    found = {Path(photo).relative_to(here / "p").as_posix() for photo in photos("p")}
    assert {name for name in found if name.startswith("run/")} == {f"run/{name}" for name in users}
    assert f"maps/{'ab' * 16}.png" in found


def test_order_is_that_of_the_paths(tmp_path):
    for name in ("b/z.jpg", "b.jpg", "b-1.jpg", "b/a/1.jpg", "b/a.jpg", "ä.jpg", "B.jpg"):
        save_photo(tmp_path / name)
    assert photos(tmp_path) == sorted(photos(tmp_path))


def test_size_and_time(here):
    (photo,) = Library(["elsewhere"]).photos()
    facts = (here / "elsewhere/d.jpg").stat()
    assert (photo.size, photo.mtime, photo.row) == (facts.st_size, facts.st_mtime_ns, None)


def test_links_to_files_are_followed_and_rings_are_not(here):
    (here / "p/link.jpg").symlink_to("b.jpg")
    (here / "p/ring").symlink_to("..")
    (here / "p/nowhere.jpg").symlink_to("nothing")
    assert photos("p") == [str(here / "p" / n) for n in ("a.PNG", "b.jpg", "deep/er/c.webp", "link.jpg", "nowhere.jpg")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_folder_that_cannot_be_listed_is_told(here):
    (here / "p/deep").chmod(0)
    try:
        assert str(here / "p/deep") in photos("p")
    finally:
        (here / "p/deep").chmod(0o755)


def test_a_folder_that_vanishes_while_it_is_listed_is_told(here):
    library = Library(["p"])
    listed = library.photos()
    next(listed)
    (here / "p/deep/er/c.webp").unlink()
    (here / "p/deep/er").rmdir()
    (here / "p/deep").rmdir()
    assert [photo.path for photo in listed][-1] == str(here / "p/deep")


def test_a_source_that_is_gone(here):
    library = Library(["p"])
    library.check()
    (here / "p").rename(here / "q")
    with pytest.raises(UserError, match="p is gone"):
        library.check()
    (here / "p").mkdir()  # a mount point without its disk
    with pytest.raises(UserError, match="p is gone"):
        library.check()


def test_where_a_list_has_its_photos_may_be_gone(here):
    Path("list.txt").write_text("p/b.jpg\np/deep/er/c.webp\n")
    library = Library(["list.txt"])
    listed = [photo.path for photo in library.photos()]
    library.check(listed[:1], read=listed[1:])  # one photo that is no more
    shutil.rmtree(here / "p/deep")
    library.check(listed[1:])  # nor its folder, in one with others
    shutil.rmtree(here / "p")
    (here / "p").mkdir()  # a mount point without its disk
    with pytest.raises(UserError, match="p is gone or empty: restore it"):
        library.check(listed)


def test_samples_are_real_photos():
    assert len(samples()) >= 6
    assert all(min(images.load(path).shape[:2]) >= 300 for path in samples())


# --- lists and tables ------------------------------------------------------------------------------------


def test_list_of_paths(here):
    # a list may name anything, relative to itself; as Windows saves it
    (here / "p" / "list.txt").write_bytes(b"\xef\xbb\xbfb.jpg\r\n\r\n../elsewhere/d.jpg\r\nabsent.raw\r\nb.jpg\r\n")
    expected = [here / "elsewhere" / "d.jpg", here / "p" / "absent.raw", here / "p" / "b.jpg"]
    assert photos("p/list.txt") == [str(path) for path in expected]


def test_one_name_that_is_too_long_costs_one_photo(here):
    long = "x" * 300 + ".jpg"
    Path("list.txt").write_text(f"file://{here}/p/b.jpg\nfile://{here}/{long}\n")
    assert photos("list.txt") == [f"{here}/p/b.jpg", f"{here}/{long}"]


def test_list_with_names_that_are_not_utf8(here):
    (here / "list.txt").write_bytes(b"caf\xe9.jpg\n")
    (photo,) = Library(["list.txt"]).photos()
    assert (photo.path, photo.file) == (f"{here}/caf\\xe9.jpg", os.fsencode(here) + b"/caf\xe9.jpg")


def test_a_list_of_addresses_that_are_not_utf8(here):
    (here / "list.txt").write_bytes(b"https://example.org/caf\xe9.jpg\n")
    (photo,) = Library(["list.txt"]).photos()
    assert photo.path == "https://example.org/caf\\xe9.jpg"
    made = Ledger(here / "out", "ab" * 8)
    assert [p.path for p in made.photos(made.add([photo]))] == [photo.path]
    assert Addresses(allowed=["https://*"], seconds=1).check(photo.name.address) is None


def test_names_in_a_csv_file_that_look_like_numbers(here):
    Path("p/table.csv").write_text("path,size\n0001,1\n0002,2\n")
    assert photos("p/table.csv") == [f"{here}/p/0001", f"{here}/p/0002"]


@pytest.mark.parametrize("column", ["path", "file_name", "image", "SourceFile", "Image Path"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_table_of_paths(here, suffix, column):
    table = pa.table({"x": [1, 2, 3, 4], column: ["b.jpg", "/far/c.jpg", None, "b.jpg"]})
    if suffix == ".csv":
        pa.csv.write_csv(table, "p/table.csv")
    else:
        pq.write_table(table, "p/table.parquet")
    assert photos(f"p/table{suffix}") == ["/far/c.jpg", f"{here}/p/b.jpg"]


@pytest.mark.parametrize("prefix", ["s3://far/", "/far/"])
def test_a_long_table_in_its_order_gives_what_it_gives_in_any_other(here, prefix):
    names = [f"{prefix}{number:06d}.jpg" for number in range(70_000)]  # more than are read at a time
    names += names[65_530:65_540]  # twice, on both sides of where the first piece ends
    facts = {"path": sorted(names), "size": [1] * len(names), "mtime": [2] * len(names)}
    in_order = pa.table(facts)
    pq.write_table(in_order, "sorted.parquet")
    pq.write_table(in_order.take(np.random.default_rng(0).permutation(len(names))), "shuffled.parquet")
    found = list(Library(["sorted.parquet"]).photos())
    assert [photo.path for photo in found] == sorted(set(names))
    assert found == list(Library(["shuffled.parquet"]).photos())


def test_size_and_time_of_a_table_are_believed(here):
    table = pa.table({"path": ["p/b.jpg", "s3://far/c d?.jpg"], "size": [7, 8], "mtime": [9, None]})
    pq.write_table(table, "table.parquet")
    assert list(Library(["table.parquet"]).photos()) == [
        Photo(f"{here}/p/b.jpg", f"{here}/p/b.jpg".encode(), None, 7, 9),
        Photo("s3://far/c d?.jpg", b"s3://far/c d?.jpg", None, 8),
    ]


def test_times_of_a_table_may_be_times(here):
    times = pa.array([1, None], pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"path": ["s3://far/a.jpg", "s3://far/b.jpg"], "mtime": times}), "table.parquet")
    assert [photo.mtime for photo in Library(["table.parquet"]).photos()] == [1_000_000, None]


@pytest.mark.parametrize("as_datasets_does", [False, True])
def test_images_in_a_column(here, as_datasets_does):
    data = [{"bytes": b"1", "path": "a"}, {"bytes": b"2", "path": "b"}] if as_datasets_does else [b"1", b"2"]
    pq.write_table(pa.table({"label": [0, 1], "image": data}), "held.parquet")
    found = list(Library(["held.parquet"]).photos())
    assert [(photo.path, photo.row) for photo in found] == [(f"{here}/held.parquet#{row}", row) for row in (0, 1)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"name,size\nx.jpg,1\n", "none of its columns (name, size) contains paths or images"),
        ("a.csv", b"path,mtime\nx.jpg,1700000000.5\n", "column mtime must contain whole numbers"),
        ("a.csv", b"path,size\nx.jpg,large\n", "column size must contain whole numbers"),
        ("a.txt", "x.jpg\n".encode("utf-16"), "a.txt: not a list of paths, or in UTF-16: save it as UTF-8"),
        ("a.parquet", b"PAR1 and no more", "a.parquet: not a usable table"),
        ("a.txt", b"", "a.txt: not a usable list of paths: the file has no bytes"),
        ("a.csv", b"path\n", "a.csv: contains no photo"),
        ("absent", None, "absent: no such folder or file: give a folder"),
    ],
)
def test_sources_that_cannot_be_used(here, name, content, says):
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        Library([name])
    assert says in str(caught.value)


def test_a_parquet_table_without_paths_says_what_it_has(here):
    pq.write_table(pa.table({"name": ["x.jpg"], "size": [1]}), "table.parquet")
    with pytest.raises(UserError, match=r"none of its columns \(name, size\) contains paths or images"):
        Library(["table.parquet"])


BUCKET = "s3://test:secret@photos"

# --- addresses -------------------------------------------------------------------------------------------


def client(address: str):
    """Return an address in the tests' own S3."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("s3", endpoint_url=f"http://{address}", region_name="us-east-1", **keys)


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """Fill a bucket `photos` with a few files; return what follows `BUCKET` in an address that reaches it."""
    content = save_photo(tmp_path_factory.mktemp("s3") / "a.jpg").read_bytes()
    with endpoint() as address:
        s3 = client(address)
        s3.create_bucket(Bucket="photos")
        for key in ("2024/b.jpg", "2024/a b.jpg", "2024.jpg", "2024/deep/what?.jpg", "notes.doc"):
            s3.put_object(Bucket="photos", Key=key, Body=content)
        s3.put_object(Bucket="photos", Key="list.txt", Body=b"2024/b.jpg\n2024.jpg\n")
        yield f"?endpoint_override={address}&scheme=http&region=us-east-1"


def test_photos_in_a_bucket(s3):
    names = ["2024.jpg", "2024/a b.jpg", "2024/b.jpg", "2024/deep/what?.jpg"]
    library = Library([f"{BUCKET}{s3}"])
    found = list(library.photos())
    assert [photo.path for photo in found] == [f"s3://photos/{name}" for name in names]
    assert all(photo.size > 0 and photo.mtime > 0 for photo in found)
    contents = {pickle.loads(pickle.dumps(library.addresses)).read(photo.path) for photo in found}
    assert len(contents) == 1  # what? is part of a name, not of an address
    library.check()
    assert photos(f"{BUCKET}/2024{s3}") == [f"s3://photos/{name}" for name in names[1:]]
    assert photos(f"{BUCKET}/2024.jpg{s3}") == ["s3://photos/2024.jpg"]


def test_a_photo_in_a_bucket_takes_two_requests(s3, caplog):
    """Count the requests, for size and content, of a photo however large: docs/scale.md relies on it."""
    client(s3.partition("=")[2].partition("&")[0]).put_object(Bucket="photos", Key="large", Body=bytes(3_000_000))
    addresses = Addresses([f"{BUCKET}/2024{s3}"])
    with caplog.at_level("INFO", "werkzeug"):
        assert len(addresses.read("s3://photos/large")) == 3_000_000
    requests = [re.search(r"(HEAD|GET|POST) (\S+) ", message).groups() for message in caplog.messages]
    assert requests == [("HEAD", "/photos/large"), ("GET", "/photos/large")]


def test_list_in_a_bucket(s3):
    assert photos(f"{BUCKET}/list.txt{s3}") == ["s3://photos/2024.jpg", "s3://photos/2024/b.jpg"]


def test_what_is_not_in_a_bucket(s3):
    with pytest.raises(UserError, match="s3://photos/2025: no such file or folder there"):
        Library([f"{BUCKET}/2025{s3}"])
    with pytest.raises(UserError, match="s3://absent"):
        Library([f"s3://test:secret@absent{s3}"])
    addresses = Addresses([f"{BUCKET}{s3}"])
    for address, reason in (("s3://photos/2025.jpg", "unreadable"), ("s3://photos/2024", "not_a_file")):
        with pytest.raises(images.ImageError) as caught:
            addresses.read(address)
        assert caught.value.reason == reason


def test_no_key_is_ever_without_secrets(s3):
    library = Library([f"{BUCKET}{s3}"])
    told = json.dumps([library.names, [photo.path for photo in library.photos()]])
    with pytest.raises(UserError) as caught:
        Library([f"{BUCKET}/2025{s3}"])
    assert "secret" not in told + str(caught.value)
    assert without_secrets("s3://key:secret@photos/a.jpg") == "s3://photos/a.jpg"


def test_address_of_an_unknown_kind():
    with pytest.raises(UserError, match="foo://x/y: cannot be reached"):
        Library(["foo://x/y"])


def test_other_address_through_fsspec(here):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/box/a.jpg", b"1")
    memory.pipe("/box/in/b.jpg", b"2")
    library = Library(["memory://box"])
    assert [photo.path for photo in library.photos()] == ["memory://box/a.jpg", "memory://box/in/b.jpg"]
    assert library.addresses.read("memory://box/in/b.jpg") == b"2"


def test_a_storage_that_raises_unusual_errors(here):
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    class Moody(MemoryFileSystem):
        protocol = "moody"

        def info(self, path, **options):
            raise RuntimeError("403, " * 100)

    fsspec.register_implementation("moody", Moody, clobber=True)
    with pytest.raises(images.ImageError, match="unreadable: 403, 403") as caught:
        Addresses(allowed=["moody://*"]).read("moody://box/a.jpg")
    assert len(str(caught.value)) < 250
    with pytest.raises(UserError, match=r"moody://box: cannot be reached \(403"):
        Library(["moody://box"])


@pytest.mark.parametrize("suffix", ["txt", "csv", "parquet"])
def test_a_pipe_is_no_list_of_photos(tmp_path, suffix):
    os.mkfifo(tmp_path / f"list.{suffix}")
    with pytest.raises(UserError, match=r"not a usable .*pipe"):
        Library([str(tmp_path / f"list.{suffix}")])


@pytest.mark.parametrize(("column", "suffix"), [("path", "csv"), ("path", "parquet"), ("image", "parquet")])
def test_a_table_with_a_column_twice_is_refused_by_its_name(tmp_path, column, suffix):
    file = tmp_path / f"list.{suffix}"
    if suffix == "csv":
        file.write_text(f"{column},{column}\na.jpg,b.jpg\n")
    else:
        pq.write_table(pa.Table.from_arrays([pa.array([b"a"]), pa.array([b"b"])], names=[column] * 2), file)
    with pytest.raises(UserError, match=f"the column {column} twice"):
        Library([str(file)])
