"""Addresses: their secrets are never shown, and endless answers are cut off."""

import contextlib
import functools
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pyarrow.parquet as pq
import pytest

from pipelines.library import held_images
from pipelines.library.ledger import Ledger
from pipelines.library.listing import Listing
from pipelines.library.walk import Library
from pipelines.scoring import reader
from pipelines.scoring.job import ScoringJob
from pipelines.storage import addresses, clients, http, time_limit
from pipelines.storage.addresses import Addresses
from pipelines.storage.fetcher import Fetcher
from r2mrf.config import Score
from r2mrf.errors import UserError
from r2mrf.imaging.images import ImageError
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.system.address import Address, redacted
from tests.support.photos import save_photo
from tests.support.secrets import PLANTED, assert_nowhere
from tests.support.web import web_server

KEY = "0123456789abcdef"


@pytest.mark.parametrize(("text", "secret"), PLANTED, ids=range(100))
def test_a_planted_secret_is_not_shown(text, secret):
    address = Address.parse(text)
    assert_nowhere(secret, address, repr(address), [address], address.bare, address.root, address.key)
    assert_nowhere(secret, redacted(f"GET {text} failed"), address.redact(f"no key {secret} at {text}"))
    assert Address.parse(address.reveal()) == pickle.loads(pickle.dumps(Address.parse(address.reveal())))
    assert address.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://AKIAEXAMPLE:wJalr/XUtnSECRET@bucket/photos", "s3://bucket/photos"),
        ("s3://A:b@c@bucket", "s3://bucket"),
        ("postgresql://bob:PA@SSw@h:5432/db", "postgresql://h:5432/db"),
        ("s3://photos/what?.jpg", "s3://photos/what?.jpg"),
        ("s3://photos/me@home.jpg", "s3://photos/me@home.jpg"),
        ("http://h:80/me@home.jpg", "http://h:80/me@home.jpg"),
        ("sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_what_is_shown(text, shown):
    assert str(Address.parse(text)) == shown


def test_files_that_a_query_tells_apart_have_names_apart():
    first, second, signed = (str(Address.parse(f"http://h/a?{q}")) for q in ("id=1", "id=2", "id=1&sig=xyzxyz"))
    assert first != second
    assert first == signed


def test_a_list_with_secrets_leaves_none_and_goes_on(tmp_path, capsys):
    """No secret is in the manifest, the rows or the messages; a run that was killed lists the addresses again."""
    (tmp_path / "list.txt").write_text("\n".join(text for text, _ in PLANTED))
    options = Score(shard_rows=30)
    ledger, library = (
        Ledger(tmp_path / "out", KEY),
        Library([str(tmp_path / "list.txt")], options),
    )
    numbers = [number for wave in Listing(library, ledger, options).waves() for number in wave]
    photos = [photo for number in numbers for photo in ledger.photos(number)]
    assert len({photo.path for photo in photos}) == len(photos) == len(PLANTED)
    assert sum(secret in photo.file.decode() for photo in photos for _, secret in PLANTED) > 20  # they can be opened
    job = ScoringJob(
        {}, "model", "hash", Preprocess(64, (0.5,) * 3, (0.5,) * 3), options, "torch", "fp32", library.addresses
    )
    seen = reader.read(photos[:20], job)
    assert {s.error.reason for s in seen} == {"not_allowed"}
    files = [file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file()]
    tables = [pq.read_table(file).to_pylist() for file in (tmp_path / "out/manifest").iterdir()]
    for _, secret in PLANTED:
        assert_nowhere(secret, photos, seen, files, tables, capsys.readouterr())
    later = Ledger(tmp_path / "out", KEY)
    later.repair()
    again = Listing(Library([str(tmp_path / "list.txt")], options), later, options)
    assert sum(len(later.photos(number)) for wave in again.waves() for number in wave) == len(PLANTED)


# --- fetching --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    photo = save_photo(tmp_path_factory.mktemp("web") / "a.jpg").read_bytes()
    with web_server({"/a.jpg": photo}) as address:
        yield f"http://{address}"


def reason(places: Addresses, address: str) -> str:
    with pytest.raises(ImageError) as caught:
        places.read(address)
    return caught.value.reason


def test_a_photo_of_a_server(web):
    assert Addresses(allowed=[web]).read(f"{web}/a.jpg?w=1")[:2] == b"\xff\xd8"


@pytest.mark.parametrize("allowed", [[], ["https://*"], ["http://127.0.0.2:*"]])
def test_only_what_is_allowed_is_read(web, allowed):
    assert reason(Addresses(["memory://box"], allowed), f"{web}/a.jpg") == "not_allowed"


@pytest.mark.parametrize("end", ["#", "?", "%23", "\\"])
def test_a_server_is_not_allowed_by_what_follows_its_name(web, end):
    assert reason(Addresses(allowed=["http://*.example.org"]), f"{web}{end}.example.org/a.jpg") == "not_allowed"


def test_a_redirection_leads_to_allowed_servers_only(web):
    places = Addresses(allowed=[web])
    assert places.read(f"{web}/to/{web}/a.jpg")[:2] == b"\xff\xd8"
    assert reason(places, f"{web}/to/http://127.0.0.9/meta-data") == "not_allowed"
    assert reason(places, f"{web}/to/file:///etc/passwd") in ("not_allowed", "unreadable")


@pytest.mark.parametrize("way", ["to", "uri"])
def test_a_table_is_not_redirected_elsewhere(web, way):
    with web_server({"/list.csv": b"path\n/a.jpg\n"}) as other:
        table = f"{web}/{way}/http://{other}/list.csv"
        with pytest.raises(UserError, match="redirected to"):
            Addresses([web]).open(table).read()
        with pytest.raises(UserError, match="redirected to"):
            Addresses([web]).facts(table)
        assert Addresses([web], allowed=[f"http://{other}"]).open(table).read() == b"path\n/a.jpg\n"


def test_fetching_ends(web, monkeypatch):
    monkeypatch.setattr(http, "MAX_BYTES", 1 << 24)
    monkeypatch.setattr(addresses, "DEAD_AFTER", 100)
    places, began = Addresses(allowed=[web], seconds=1), time.monotonic()
    assert reason(places, f"{web}/endless") == "too_large"
    assert reason(places, f"{web}/drip") == "timeout"
    assert reason(places, f"{web}/silent") == "unreachable"
    assert reason(places, f"{web}/short") == "unreadable"
    assert reason(places, f"{web}/gone.jpg") == "unreadable"
    assert time.monotonic() - began < 15


def test_a_server_that_is_dead_is_left_alone(web):
    gate = socket.socket()
    gate.bind(("127.0.0.1", 0))  # and nobody listens
    dead = f"http://127.0.0.1:{gate.getsockname()[1]}"
    places = Addresses(allowed=["http://*"])
    assert [reason(places, f"{dead}/{i}.jpg") for i in range(4)] == ["unreachable"] * 4
    with pytest.raises(ImageError, match="did not answer 3 times in a row"):
        places.read(f"{dead}/5.jpg")
    assert places.read(f"{web}/a.jpg")
    gate.close()


def test_a_dead_bucket_with_a_table_of_images_is_left_alone():
    with socket.socket() as gate:
        gate.bind(("127.0.0.1", 0))  # and nobody listens
        source = f"s3://K:S@bucket?endpoint_override=127.0.0.1:{gate.getsockname()[1]}&scheme=http"
        places = Addresses([source])
        for row in range(3):
            with pytest.raises(ImageError, match=r"^unreachable"):
                held_images.image("s3://bucket/a.parquet", row, None, places)
        with pytest.raises(ImageError, match="did not answer 3 times in a row"):
            held_images.image("s3://bucket/a.parquet", 4, None, places)
        with pytest.raises(ImageError, match=r"^not_allowed"):
            held_images.image("s3://other/a.parquet", 0, None, places)


class Sleeper(fsspec.AbstractFileSystem):
    protocol = "sleeper"

    def info(self, path: str, **_: object) -> dict:
        time.sleep(20)
        raise OSError(path)


def test_requests_that_hang_are_few(web, monkeypatch):
    """A client that hangs leaves its thread behind: of such threads there are not many."""
    monkeypatch.setattr(addresses, "MOST_HANGING", 3)
    monkeypatch.setattr(time_limit, "_left_behind", [])
    fsspec.register_implementation("sleeper", Sleeper, clobber=True)
    places, before = Addresses(allowed=["sleeper://*", web], seconds=-4.9), threading.active_count()
    assert [reason(places, f"sleeper://{i}/a.jpg") for i in range(8)] == ["timeout"] * 3 + ["unreachable"] * 5
    assert threading.active_count() <= before + 3
    places.seconds = 5
    assert reason(places, f"{web}/a.jpg") == "unreachable"  # it has not answered yet
    places._answered.add(web)
    assert places.read(f"{web}/a.jpg")[:2] == b"\xff\xd8"


DRIPPING = """
import sys
from pipelines.library import held_images
from pipelines.storage.addresses import Addresses
from r2mrf.imaging.images import ImageError
try:
    PHOTO
except ImageError as error:
    print(error.reason)
"""


@pytest.mark.parametrize(
    "photo",
    [
        'Addresses([sys.argv[1]], seconds=-3).read("s3://bucket/a.jpg")',
        'held_images.image("s3://bucket/a.parquet", 0, None, Addresses([sys.argv[1]], seconds=-0.3))',
    ],
    ids=["a photo", "a row of a table"],
)
def test_a_bucket_that_drips_does_not_keep_the_process(photo):
    """The client alone would wait as long as anything comes, and so keep the process from ending."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        source = f"s3://K:S@bucket?endpoint_override=127.0.0.1:{server.getsockname()[1]}&scheme=http"
        command = [sys.executable, "-c", DRIPPING.replace("PHOTO", photo), source]
        done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=True)
    assert done.stdout.split() == ["timeout"]


def test_a_silent_bucket_is_given_up(monkeypatch):
    monkeypatch.setattr(clients, "SILENCE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts connections, and never answers
        source = f"s3://K:S@bucket?endpoint_override=127.0.0.1:{server.getsockname()[1]}&scheme=http"
        began = time.monotonic()
        with pytest.raises(UserError, match="s3://bucket: cannot be reached"):
            list(Addresses([source]).walk(source))
    assert time.monotonic() - began < 30  # the client's own limits make it a hundred


def drip(server: socket.socket) -> None:
    """Announce a file of 100 MB to whoever asks, and send a byte of it ten times a second."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\nLast-Modified: Sun, 29 Nov 2026 10:00:00 GMT\r\n\r\n"

    def answer(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (asked := client.recv(1 << 16)).startswith(b"HEAD"):
                client.sendall(head)
            if asked:
                client.sendall(head)
            while True:
                client.sendall(b"x")
                time.sleep(0.1)

    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()


def _sleeps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def _answers(fetch: functools.partial) -> bool:
    with contextlib.suppress(TimeoutError):
        return fetch(0) == 0
    return False


def test_a_request_that_hangs_disturbs_no_other():
    fetch = functools.partial(Fetcher(_sleeps), seconds=4)
    while not _answers(fetch):  # the child starts
        pass
    with ThreadPoolExecutor(3) as pool:
        hangs, quick = pool.submit(fetch, 60), pool.submit(fetch, 0)
        time.sleep(2)
        late = pool.submit(fetch, 2.5)  # still waits when the child is given up
        assert (quick.result(), late.result()) == (0, 2.5)
        with pytest.raises(TimeoutError):
            hangs.result()
    assert _answers(fetch)  # by another child


def test_a_child_that_is_killed_costs_one_request():
    fetch = functools.partial(Fetcher(_dies), seconds=20)
    assert fetch(False) > 0
    with pytest.raises(ChildProcessError):
        fetch(True)
    assert fetch(False) > 0


def _dies(now: bool) -> int:
    if now:
        os._exit(3)
    return os.getpid()


@pytest.mark.parametrize("kind", ["cannot be pickled", "cannot be read again"])
def test_an_error_that_cannot_travel_arrives_in_words(kind):
    fetch = functools.partial(Fetcher(_fails), seconds=60)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="_Odd: bucket: gone"):
        fetch(kind)
    assert time.monotonic() - began < 50
    assert fetch("") == "well"


class _Odd(Exception):
    def __init__(self, what: str, why: str):
        super().__init__(f"{what}: {why}")


def _fails(kind: str) -> str:
    if not kind:
        return "well"
    error = _Odd("bucket", "gone")
    if kind == "cannot be pickled":
        error.lock = threading.Lock()
    raise error
