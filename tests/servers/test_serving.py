"""`mlflow models serve` over real HTTP: good, bad and hostile photos, several clients, requests that are too big."""

import base64
import json
import os
import shutil
import struct
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_sample_images

from benchmarks.view import tiled
from pipelines import register
from pipelines.project.tables import write_json
from pipelines.registry import serving
from r2mrf.config import Score, load
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.network import checkpoint, model_folder
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.record import record
from tests.support.server import answers, free_port, running

ROOT = Path(__file__).parents[2]
PHOTO = images.encode_jpeg(load_sample_images().images[1])


class Answer(NamedTuple):
    status: int
    body: dict


class Server(NamedTuple):
    address: str
    session: int  # of its processes

    def post(self, body: bytes, kind: str = "application/json") -> Answer:
        request = urllib.request.Request(f"{self.address}/invocations", body, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return Answer(answer.status, strictly(answer.read()))
        except urllib.error.HTTPError as error:
            return Answer(error.code, strictly(error.read()))

    def ask(self, *photos: bytes, **params: object) -> Answer:
        rows = [{"image": base64.b64encode(photo).decode()} for photo in photos]
        return self.post(json.dumps({"dataframe_records": rows, "params": params}).encode())

    def records(self, *photos: bytes, **params: object) -> list[dict]:
        status, body = self.ask(*photos, **params)
        assert status == 200, body
        return body["predictions"]


def strictly(text: bytes) -> dict:
    """Parse JSON strictly, as other languages do: NaN is an error."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """The released weights, registered and served as their users would."""
    root, port = tmp_path_factory.mktemp("serving"), free_port()
    address = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        for name in ("params.yaml", "requirements.txt"):
            shutil.copy(ROOT / name, name)
        shutil.copytree(model_folder.RELEASED / "lite", "models/r2mrf")
        model = checkpoint.load("models/r2mrf").name
        figures = {"model": model, "test_set": "0", "images": 1, "images_without_defocus": 0, "f_05": 0.9, "mae": 0.1}
        write_json(Path("reports/evaluate/metrics.json"), figures)
        register.register(load())
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")  # it starts uvicorn
        patch.setenv("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "600")  # 60 seconds are short on a busy machine
        command = ["mlflow", "models", "serve", "-m", "models:/r2mrf@challenger", "--env-manager", "local"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        with running(command, lambda: answers(f"{address}/ping"), root / "log") as process:
            yield Server(address, process.pid)


def test_record_is_that_of_the_command_line(server):
    (answer,) = server.records(PHOTO)
    assert answer == pytest.approx(record(Predictor.load("lite"), PHOTO, Score()), abs=1e-6)


def test_map_on_request(server):
    (answer,) = server.records(PHOTO, map=True)
    pixels = images.decode_mask(base64.b64decode(answer["map"]))
    expected = to_uint8(Predictor.load("lite")(images.decode(PHOTO)))
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_view_and_radius_of_one_photo_a_request(server):
    rgb = load_sample_images().images[1]
    (answer,) = server.records(PHOTO, map=True, view="full", radius=True, detail=True)
    pixels = images.decode_mask(base64.b64decode(answer["map"]))
    expected = to_uint8(Predictor.load("lite")(images.decode(PHOTO), "full"))
    assert np.abs(pixels.astype(int) - expected).max() <= 1
    assert answer["radius"] and 0 <= answer["sharpest_x0"] < answer["sharpest_x1"] <= rgb.shape[1]
    status, body = server.ask(PHOTO, PHOTO, radius=True)
    assert (status, "the limit is 1 photos" in body["message"]) == (400, True)


def png(header: bytes, rows: bytes) -> bytes:
    """Return a PNG file of these chunks."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bomb() -> bytes:
    """A PNG of 100,000×100,000 pixels in a few bytes."""
    return png(struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0), zlib.compress(bytes(1 << 20)))


BAD = {
    "not_an_image": b"just some words\n" * 50,
    "empty": b"",
    "corrupt": PHOTO[: len(PHOTO) // 2],
    "too_small": images.encode_png(np.zeros((4, 4), np.uint8)),
    "too_large": bomb(),
}


def test_bad_photos_among_good_ones(server):
    answers = server.records(PHOTO, *BAD.values(), PHOTO, map=True)
    assert [answer["status"] for answer in answers] == ["ok", *["failed"] * len(BAD), "ok"]
    assert [answer["error"].split(":")[0] for answer in answers[1:-1]] == list(BAD)
    for answer in answers[1:-1]:
        assert {answer[name] for name in ("width", "blur_fraction", "focus_x0", "verdict", "map")} == {None}
    assert answers[0] == answers[-1]


def test_several_clients_get_their_own_answers(server):
    photos = [PHOTO, images.encode_png(load_sample_images().images[0]), BAD["corrupt"], BAD["not_an_image"]] * 4
    alone = {photo: server.records(photo)[0] for photo in set(photos)}
    with ThreadPoolExecutor(len(photos)) as clients:
        together = list(clients.map(lambda photo: server.records(photo)[0], photos))
    assert together == [alone[photo] for photo in photos]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"no JSON", "valid JSON"),
        (b"[1, 2]", "Received a list"),
        (b"{}", "exactly one of the input fields"),
        (b'{"dataframe_records": ' + b"[" * 100_000, "malformed request"),
        (b'{"dataframe_records": [{"image": ' + b"9" * 10_000 + b"}]}", "malformed request"),
        (b"\xff\xfe{" + b"x" * 1_000_000, "valid JSON"),
        (b'{"dataframe_records": [{"photo": "AAAA"}]}', "image"),
        (b'{"dataframe_records": [{"image": 5}]}', "image"),
        (b'{"dataframe_records": [{"image": null}]}', "image"),
        (b'{"dataframe_records": [{"image": "A"}]}', "base64"),
        (b'{"dataframe_records": [{"image": "AAAA"}], "params": {"map": "perhaps"}}', "map"),
        (b'{"dataframe_records": [{"image": "AAAA"}], "params": {"map": true, "view": "half"}}', "view half"),
        (b'{"dataframe_records": [{"image": "AAAA"}], "params": {"map": true, "view": 800}}', "string"),
    ],
)
def test_requests_that_are_none(server, body, says):
    status, answer = server.post(body)
    assert status == 400
    assert says in answer["message"]
    assert len(json.dumps(answer)) < 5000  # MLflow's own messages repeat the request
    assert server.records(PHOTO)[0]["status"] == "ok"


@pytest.mark.parametrize(
    "photos",
    [[b"x"] * (serving.MAX_PHOTOS + 1), [PHOTO[:20] + bytes(serving.MAX_BYTES)]],
    ids=["many", "large"],
)
def test_request_that_is_too_big(server, photos):
    status, answer = server.ask(*photos)
    assert status == 400
    assert f"too_large: {len(photos)} photos" in answer["message"]
    assert "send several requests" in answer["message"]
    assert len(json.dumps(answer)) < 2000
    assert server.records(PHOTO)[0]["status"] == "ok"


def hungry() -> bytes:
    """A PNG of 13,000×13,000 pixels of 16 bits in a third of a megabyte; decoding it takes gigabytes."""
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(1 + 6 * 13_000)) for _ in range(13_000)) + packer.flush()
    return png(struct.pack(">IIBBBBB", 13_000, 13_000, 16, 2, 0, 0, 0), rows)


def test_one_request_takes_less_than_a_gigabyte(server):
    """The kernel records the peak memory of the server and its processes."""
    server.records(PHOTO)
    before = memory_of(server)
    (answer,) = server.records(hungry(), map=True)
    assert answer["error"].split(":")[0] in ("too_large", "crashed", "timeout")
    large = images.encode_jpeg(np.zeros((12_000, 14_000, 3), np.uint8))  # decoded at an eighth
    assert server.records(large, map=True)[0]["verdict"] == "flat"
    assert memory_of(server) - before < 2**30


def test_a_large_blur_radius_takes_less_than_a_gigabyte(server):
    """Just below the limit of such requests; what the server and its processes hold at one time."""
    photo = images.encode_jpeg(tiled(6_120, 4_080, shallow=True))
    server.records(PHOTO, radius=True)
    held = [memory_of(server, "VmRSS")]
    with ThreadPoolExecutor(1) as client:
        answer = client.submit(server.records, photo, radius=True)
        while not answer.done():
            held.append(memory_of(server, "VmRSS"))
            time.sleep(0.1)
    assert answer.result()[0]["radius"]
    print(f"{(max(held) - held[0]) / 2**20:.0f} MiB")
    assert max(held) - held[0] < 2**30


def test_memory_comes_back_after_large_requests(server):
    server.records(PHOTO)
    before = memory_of(server, "VmRSS")
    for _ in range(3):
        status, answer = server.post(b'{"dataframe_records": "' + b"x" * 100_000_000)
        assert status == 413
        assert "send several requests" in answer["detail"]
        assert server.post(b'{"dataframe_records": "' + b"x" * 80_000_000)[0] == 400
    time.sleep(3)
    assert memory_of(server, "VmRSS") - before < 200 * 2**20


def memory_of(server: Server, field: str = "VmHWM") -> int:
    """Return the bytes held by the process that listens on the server's port and its children; VmHWM: the peak."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            group = int(status.with_name("stat").read_text().rpartition(")")[2].split()[3])
            if group == server.session:
                total += sum(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field))
    return total * 1024


def test_white_space_in_a_photo_does_not_take_hours():
    model, began = serving.DefocusModel(), time.monotonic()
    model.load_context(SimpleNamespace(artifacts={"checkpoint": model_folder.RELEASED / "lite"}))
    answer = model.predict(None, pd.DataFrame({"image": [b"AAAA" + b" " * 400_000 + b"!"]}))
    model.guard.close()
    assert answer["status"].tolist() == ["failed"]
    assert time.monotonic() - began < 40


def test_a_table_of_any_length_is_taken_in_a_program(server):
    model = mlflow.pyfunc.load_model("models:/r2mrf@challenger")
    table = pd.DataFrame({"image": [b"no photo"] * (serving.MAX_PHOTOS + 1)})
    assert model.predict(table)["status"].tolist() == ["failed"] * len(table)
