"""`r2mrf app`: what its server answers, whom it refuses, and the page in headless Chromium."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.app import open_photos, server
from pipelines.app.open_photos import NotOpen, OpenPhotos
from pipelines.command.cli import main
from pipelines.project.samples import samples
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.prediction import without_torch
from r2mrf.system import missing
from tests.support.browser import needs_chromium
from tests.support.devtools import browser

FLOWER = next(path for path in samples() if path.name == "flower.jpg")


class App:
    """A running `r2mrf app`."""

    def __init__(self, port: int):
        self.port = port

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, dict]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            connection.close()

    def get(self, path: str) -> bytes:
        status, body, _ = self.ask("GET", path)
        assert status == 200, body
        return body

    def open(self, photo: Path) -> dict:
        status, body, _ = self.ask("POST", "/photos", photo.read_bytes())
        assert status == 201, body
        return json.loads(body)


@pytest.fixture(scope="module")
def app():
    command = [sys.executable, "-u", "-m", "pipelines.command.cli", "app", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            line = program.stdout.readline()
            found = re.fullmatch(r"open http://127\.0\.0\.1:(\d+) in a browser on this machine; .*\n", line)
            assert found, line + program.stderr.read()
            yield App(int(found[1]))
        finally:
            program.send_signal(signal.SIGINT)
            _, said = program.communicate(timeout=60)
            assert (program.returncode, said) == (0, "")


@pytest.fixture(scope="module")
def flower(app) -> dict:
    return app.open(FLOWER)


# --- the server ----------------------------------------------------------------------------------------------------


def test_files_are_those_of_the_command(app, flower, tmp_path):
    path = f"/photos/{flower['name']}"
    assert main(["map", str(FLOWER), "-o", str(tmp_path / "map.png")]) == 0
    assert app.get(f"{path}/map.png") == (tmp_path / "map.png").read_bytes()
    assert main(["map", str(FLOWER), "-o", str(tmp_path / "view.png"), "--view", "480"]) == 0
    assert app.get(f"{path}/map.png?view=480") == (tmp_path / "view.png").read_bytes()
    assert main(["map", str(FLOWER), "-o", str(tmp_path / "radius.png"), "--radius"]) == 0
    assert app.get(f"{path}/radius.png") == (tmp_path / "radius.png").read_bytes()


def test_mask_and_overlay_follow_the_threshold(app, flower):
    path = f"/photos/{flower['name']}"
    defocus = images.decode_mask(app.get(f"{path}/map.png"))
    mask = images.decode_mask(app.get(f"{path}/mask.png?threshold=0.8"))
    np.testing.assert_array_equal(mask, np.where(defocus >= 0.8 * 255, 255, 0))
    tinted = images.decode(app.get(f"{path}/overlay.jpg?threshold=0.8")).astype(int)
    changed = abs(tinted - images.load(FLOWER)).max(axis=2) > 40
    assert (changed == (mask > 0)).mean() > 0.95


def test_steps_end_in_the_map(app, flower):
    import base64

    steps = json.loads(app.get(f"/photos/{flower['name']}/steps"))
    last = images.decode_mask(base64.b64decode(steps[-1].partition(",")[2]))
    assert len(steps) == 7
    assert last.shape == (214, 320)
    shown = np.frombuffer(app.get(f"/photos/{flower['name']}/map"), np.uint8)
    assert abs((last >= 128).mean() - (shown >= 128).mean()) < 0.02


def test_steps_without_torch_say_what_to_install(monkeypatch):
    photos = OpenPhotos(without_torch.load("lite"))
    monkeypatch.setitem(sys.modules, "torch", None)
    try:
        name, _ = photos.open(FLOWER.read_bytes())
        with pytest.raises(UserError) as caught:
            photos.steps_of(name)
    finally:
        photos.close()
    asked = f"the view of the steps needs torch, which is not installed: `{missing.install('[score]')}`"
    assert str(caught.value) == asked


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "words"),
    [
        ("POST", "/photos", b"no picture", {}, 400, "not_an_image"),
        ("POST", "/photos", b"", {}, 400, "empty"),
        ("POST", "/photos", bytes(server.MAX_BYTES + 1), {}, 413, "67,108,864 bytes"),
        ("POST", "/photos", b"GIF89a", {"Origin": "http://elsewhere.example"}, 403, "another page"),
        ("GET", "/", None, {"Host": "elsewhere.example"}, 400, "Invalid host"),
        ("GET", "/photos/unknown/map", None, {}, 404, "no longer open"),
        ("GET", "/photos/../server.py", None, {}, 404, "Not Found"),
        ("GET", "/photos/FLOWER/map?view=7", None, {}, 400, "give whole, full"),
        ("GET", "/photos/FLOWER/mask.png?threshold=nan", None, {}, 400, "threshold"),
    ],
)
def test_refused_in_a_sentence(app, flower, method, path, body, headers, status, words):
    answer, text, _ = app.ask(method, path.replace("FLOWER", flower["name"]), body, **headers)
    assert (answer, words in text.decode()) == (status, True), text


def test_every_answer_forbids_what_is_not_the_pages_own(app):
    for path in ("/", "/app.js", "/photos/unknown/map"):
        _, _, headers = app.ask("GET", path)
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_old_photos_are_closed_for_the_memory_of_maps_too(monkeypatch):
    photos, data = OpenPhotos(lambda rgb, view: np.zeros(rgb.shape[:2], np.float32)), FLOWER.read_bytes()
    first, photo = photos.open(data)
    monkeypatch.setattr(open_photos, "KEPT", 3.5 * photo.rgb.nbytes)
    second, _ = photos.open(data)
    for view in (100, 200, 300):  # three maps take as much as a photo
        photos.map_of(second, view)
    photos.open(data)
    assert photos.get(second)
    with pytest.raises(NotOpen):
        photos.get(first)
    photos.close()


def test_a_port_that_is_taken(app, capsys):
    assert main(["app", "--port", str(app.port)]) == 2
    assert "give another --port" in capsys.readouterr().err


# --- the page ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(app):
    """Open the page with a photo in it, and wait until everything is computed."""
    with browser(f"http://127.0.0.1:{app.port}/") as tab:
        tab.choose("#file", FLOWER)
        tab.until("document.querySelectorAll('#steps img').length === 7 && document.querySelector('#busy').hidden")
        yield tab


@needs_chromium
def test_a_photo_is_shown_with_all_that_is_known_of_it(page):
    seen = page.run("""
      const colours = id => { const canvas = document.getElementById(id);
        return Array.from(canvas.getContext("2d").getImageData(5, 5, 1, 1).data); };
      const text = selector => document.querySelector(selector).textContent;
      return { share: text("#share b"), name: text("#photo-name"),
        photo: colours("photo"), map: colours("map"), overlay: colours("overlay"), radius: colours("radius"),
        steps: [...document.querySelectorAll("#steps img")].map(image => image.naturalWidth),
        waiting: document.querySelectorAll(".waiting").length, error: document.querySelector("#error").hidden };""")
    assert seen["share"] == "76 %"
    assert seen["name"] == "flower.jpg, 640×427"
    assert seen["map"] == [255, 255, 255, 255]  # the corner is out of focus
    assert seen["overlay"][0] > seen["photo"][0] + 50  # and tinted
    assert seen["radius"] != [0, 0, 4, 255]  # and blurred by some pixels
    assert seen["steps"] == [320] * 7
    assert (seen["waiting"], seen["error"]) == (0, True)


@needs_chromium
def test_the_sliders(page):
    """Move them: the threshold changes the share at once; the view asks for another map, and for other files."""
    at_half, at_most = page.run("""
      const slider = document.querySelector("#threshold"), share = () => document.querySelector("#share b").textContent;
      const seen = [share()]; slider.value = 99; slider.dispatchEvent(new Event("input")); seen.push(share());
      return seen;""")
    assert int(at_most[:-2]) < int(at_half[:-2])
    page.run("""const slider = document.querySelector("#view"); slider.value = slider.max;
      slider.dispatchEvent(new Event("input"));""")
    page.until("document.querySelector('#view-name').textContent === '1:1, 640 pixels'")
    page.until("performance.getEntriesByType('resource').some(entry => entry.name.includes('map?view=full'))")
    page.until("document.querySelector('#busy').hidden")
    links = page.run("return [...document.querySelectorAll('a[data-file]')].map(link => [link.download, link.href]);")
    assert [name for name, _ in links] == [
        f"flower-{name}" for name in ("map.png", "mask.png", "overlay.jpg", "radius.png")
    ]
    assert links[1][1].endswith("/mask.png?view=full&threshold=0.99")


@needs_chromium
def test_a_place_tells_its_values(page):
    page.point("#overlay", 0.48, 0.45)
    page.until("document.querySelector('#point').textContent.endsWith(', sharp at 1:1')")
    page.point("#map", 0.02, 0.05)
    page.until("/probability 1.00, blurred by [0-9.]+ pixels$/.test(document.querySelector('#point').textContent)")


@needs_chromium
def test_a_file_that_is_not_a_photo_is_reported_and_the_photo_stays(page, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    page.choose("#file", tmp_path / "text.jpg")
    page.until("!document.querySelector('#error').hidden")
    assert page.run("return document.querySelector('#error').textContent").startswith("not_an_image")
    assert page.run("return document.querySelector('#share b').textContent").endswith(" %")


@needs_chromium
def test_it_loads_nothing_from_elsewhere_and_looks_like_something(page, app, tmp_path):
    picture = images.load(page.photograph(Path(os.environ.get("SCREENSHOTS", tmp_path)) / "app.png"))
    assert picture.shape[1] == 1300
    assert (abs(picture.astype(int) - picture[5, 5]).max(axis=2) > 40).mean() > 0.2
    strangers = [
        url for url in page.requested if not url.startswith((f"http://127.0.0.1:{app.port}/", "data:", "about:"))
    ]
    assert strangers == []
    assert [text for text in page.complaints if "400" not in text] == []  # the file that was no photo
