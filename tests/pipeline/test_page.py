"""The report page as a person uses it, in headless Chromium."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from pipelines.command.cli import main
from r2mrf.imaging import images
from tests.support.browser import needs_chromium
from tests.support.photos import save_scene
from tests.support.report_page import photograph, visit
from tests.support.scored_folder import HOSTILE, failed, ok, save_table

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Write the page of two folders; IMG_1 … IMG_3 are a burst, of which IMG_2 is the sharpest; all have maps."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "maps").mkdir()
    rows = []
    for i, (name, seed, blur) in enumerate([
        ("a/IMG_1.jpg", 1, 0.5), ("a/IMG_2.jpg", 1, 0.05), ("a/IMG_3.jpg", 1, 0.95), ("a/deep/x.jpg", 2, 0.3),
        ("b/y, \"z\".jpg", 3, 0.9),
    ]):  # fmt: skip
        photo = save_scene(folder / "photos" / name, seed, blur=5 * blur, size=(1600, 1200))
        defocus = np.full((12, 16), 255, np.uint8)
        defocus[:, : round(16 * (1 - blur))] = 0
        (folder / "maps" / f"{i:04x}.png").write_bytes(images.encode_png(defocus))
        rows.append(ok(photo, blur, map=f"{i:04x}.png", width=1600, height=1200, confidence=1 - i / 10))
    rows += [failed(folder / "photos" / "a" / "broken.jpg"), failed(folder / "photos" / "b" / "none.jpg", "empty: no")]
    save_table(folder, rows)
    assert main(["report", str(folder)]) == 0
    return folder / "report.html"


def test_counts_histogram_and_failures(page):
    seen = visit(
        page,
        """return {
      verdicts: texts("#verdicts b").map((n, i) => `${n} ${texts("#verdicts span:not(.bar)")[i]}`),
      failures: texts("#failures li"), about: texts("#about")[0],
      bars: bars() };""",
    )
    assert [text for text in seen["verdicts"] if text[0] != "0"] == ["1 sharp", "2 partial", "2 blurred", "2 failed"]
    assert seen["failures"] == ["1 the image is damaged or cut short", "1 the file has no bytes"]
    assert seen["bars"] == ["4 % to 6 %: 1", "30 % to 32 %: 1", "50 % to 52 %: 1", "90 % to 92 %: 1", "94 % to 96 %: 1"]
    assert "7 photos in " in seen["about"]


def test_every_column_sorts_both_ways_and_failed_photos_stay_last(page):
    seen = visit(
        page,
        """
      const seen = {};
      for (const column of ["name", "folder", "verdict", "blurred", "centre-blurred", "in-focus", "confidence"]) {
        await click(`th.of-${column}`); const up = names();
        await click(`th.of-${column}`); seen[column] = [up, names()];
      }
      return seen;""",
    )
    y, x, (one, two, three) = 'y, "z".jpg', "x.jpg", (f"IMG_{i}.jpg" for i in (1, 2, 3))
    assert {column: up[:5] for column, (up, _) in seen.items()} == {
        "name": [one, two, three, x, y],
        "folder": [one, two, three, x, y],
        "verdict": [two, one, x, three, y],
        "blurred": [two, x, one, y, three],
        "centre-blurred": [two, x, one, y, three],
        "in-focus": [three, y, one, x, two],
        "confidence": [y, x, three, two, one],
    }
    for column, (up, down) in seen.items():
        assert {*up[5:]} == {*down[5:]} == {"broken.jpg", "none.jpg"}
        if column not in ("folder", "verdict"):  # where some are equal
            assert down[:5] == up[4::-1]


def test_filters(page):
    seen = visit(
        page,
        """
      const seen = {};
      await click("#verdicts .blurred"); seen.blurred = names();
      await click("#verdicts .sharp"); seen.either = names();
      await set("#folder", "a/"); seen.below = names(); seen.bars = bars();
      await click("#verdicts .blurred"); await click("#verdicts .sharp"); seen.folder = names();
      await set("#folder", ""); await set("#bursts", "sharpest"); seen.sharpest = names();
      await set("#bursts", "others"); seen.others = names();
      await set("#bursts", "bursts"); seen.bursts = names(); seen.labels = texts("td.of-burst");
      await set("#bursts", "all"); await set("#search", "deep", "input"); seen.search = names();
      await click("#failures button"); seen.reason = names();
      await set("#search", "no such photo", "input"); seen.none = texts("td");
      return { ...seen, folders: texts("#folder option") };""",
    )
    assert seen["blurred"] == ["IMG_3.jpg", 'y, "z".jpg']
    assert seen["either"] == ["IMG_2.jpg", "IMG_3.jpg", 'y, "z".jpg']
    assert seen["below"] == ["IMG_2.jpg", "IMG_3.jpg"]
    assert seen["bars"] == ["4 % to 6 %: 1", "94 % to 96 %: 1"]
    assert seen["folder"] == ["IMG_1.jpg", "IMG_2.jpg", "IMG_3.jpg", "x.jpg", "broken.jpg"]
    assert seen["sharpest"] == ["IMG_2.jpg"]
    assert seen["others"] == ["IMG_1.jpg", "IMG_3.jpg"]
    assert seen["bursts"] == ["IMG_2.jpg", "IMG_1.jpg", "IMG_3.jpg"]
    assert seen["labels"] == ["1: sharpest of 3", "1: one of 3", "1: one of 3"]
    assert seen["search"] == ["x.jpg"]
    assert seen["reason"] == ["broken.jpg"]
    assert seen["none"] == ["No photo matches"]
    assert seen["folders"] == ["All folders (7)", "a/ (5)", "a/deep/ (1)", "b/ (2)"]


def test_csv_of_what_is_shown_in_its_order(page):
    text = visit(
        page,
        """
      let text; URL.createObjectURL = blob => { text = blob.text(); return "blob:null/0"; };
      await set("#folder", "b/"); await click("#csv"); return await text;""",
    )
    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert first["path"] == str(page.parent / "photos" / "b" / 'y, "z".jpg')
    assert (first["verdict"], first["blur_fraction"], first["error"]) == ("blurred", "0.9", "")
    assert (second["verdict"], second["blur_fraction"], second["error"]) == ("failed", "", "empty: no")


def test_accept_and_reject_by_key(page):
    seen = visit(
        page,
        """
      const point = async i => { all("tbody tr")[i].dispatchEvent(new Event("pointerover", { bubbles: true })); };
      const choices = () => Object.fromEntries(all("tbody tr").map(row => [row.querySelector(".of-name").textContent,
        row.querySelector(".of-choice").textContent]).filter(([, choice]) => choice));
      const seen = {};
      await point(0); await press("a"); await point(1); await press("x"); await point(2); await press("x");
      await press("u"); seen.table = choices(); seen.classes = all("tbody tr").slice(0, 3).map(row => row.className);
      await click("td .picture"); await press("u"); await press("a"); seen.large = texts("#large a")[0];
      await press("ArrowLeft"); seen.caption = texts("#large p")[0]; await click("#large .picture");
      seen.then = choices();
      await set("#choices", "accepted"); seen.accepted = names(); await set("#choices", "rejected"); seen.rejected = names();
      await set("#choices", ""); seen.undecided = names().length; await set("#choices", "all");
      let text; URL.createObjectURL = blob => { text = blob.text(); return "blob:null/0"; };
      await click("#csv"); seen.csv = await text;
      seen.kept = Object.keys(localStorage).length && JSON.parse(Object.values(localStorage)[0]);
      return seen;""",  # noqa: E501
    )
    assert seen["table"] == {"IMG_1.jpg": "accepted", "IMG_2.jpg": "rejected"}
    assert ["accepted" in seen["classes"][0], "rejected" in seen["classes"][1], seen["classes"][2]] == [True, True, ""]
    assert seen["large"] == "IMG_3.jpg"  # a decision turns to the next photo
    assert "accepted" in seen["caption"]
    assert seen["then"] == {"IMG_2.jpg": "accepted"}
    assert (seen["accepted"], seen["rejected"], seen["undecided"]) == (["IMG_2.jpg"], [], 6)
    choices = {Path(line["path"]).name: line["choice"] for line in csv.DictReader(io.StringIO(seen["csv"], newline=""))}
    assert choices["IMG_2.jpg"] == "accepted"
    assert set(choices.values()) == {"accepted", ""}
    assert seen["kept"] == [[str(page.parent / "photos" / "a" / "IMG_2.jpg"), "accepted"]]


def test_choices_outlive_another_page_and_a_growing_library(page):
    """Another report, whose photos share another folder, has stored a choice since this page was opened."""
    seen = visit(
        page,
        """
      localStorage.setItem("r2mrf choices of /q/", "null and void");
      localStorage.setItem("r2mrf choices of /p/", JSON.stringify([["/p/old.jpg", "rejected"]]));
      localStorage.setItem("r2mrf choices", JSON.stringify([["/p/other.jpg", "accepted"]]));
      all("tbody tr")[0].dispatchEvent(new Event("pointerover", { bubbles: true })); await press("a");
      localStorage.removeItem("r2mrf choices of /q/");
      return Object.fromEntries(Object.entries(localStorage).map(([name, text]) => [name, JSON.parse(text)]));""",
    )
    mine = str(page.parent / "photos" / "a" / "IMG_1.jpg")
    assert seen == {"r2mrf choices": [["/p/old.jpg", "rejected"], ["/p/other.jpg", "accepted"], [mine, "accepted"]]}


def test_a_browser_that_stores_nothing_keeps_choices_until_the_page_is_closed(page):
    seen = visit(
        page,
        """
      Storage.prototype.setItem = () => { throw new Error("the quota is exceeded"); };
      for (const i of [0, 1]) {
        all("tbody tr")[i].dispatchEvent(new Event("pointerover", { bubbles: true })); await press("a");
      }
      return [texts("tbody .of-choice").slice(0, 3), texts("#keys")[0]];""",
    )
    assert seen[0] == ["accepted", "accepted", ""]
    assert "save them as CSV" in seen[1]


def test_gallery_and_maps_by_button_and_key(page):
    seen = visit(
        page,
        """
      const state = () => [getComputedStyle(document.querySelector("tbody")).display,
        getComputedStyle(document.querySelector("td .map")).opacity];
      const seen = [state()];
      await click("#gallery"); await click("#maps"); seen.push(state());
      await press("g"); await press("m"); seen.push(state());
      return seen;""",
    )
    assert seen == [["table-row-group", "0"], ["grid", "1"], ["table-row-group", "0"]]


def test_pictures_load_from_disk_and_nothing_else_does(page):
    seen = visit(
        page,
        """
      await click("#gallery"); await wait();
      return { widths: all("td img").map(image => image.naturalWidth),
        loaded: performance.getEntriesByType("resource").map(entry => entry.name) };""",
    )
    assert seen["widths"] == [256, 16, 224] * 5
    assert {name.split(":")[0] for name in seen["loaded"]} <= {"file", "data"}


def test_one_photo_large_with_keys(page):
    seen = visit(
        page,
        """
      const state = () => [texts("#large a")[0], document.querySelector("#large img").naturalWidth];
      await click("td .picture"); const seen = [state()];
      await press("ArrowRight"); seen.push(state());
      await click("#large .picture"); return [...seen, document.querySelector("#large").open];""",
    )
    assert seen == [["IMG_1.jpg", 1600], ["IMG_2.jpg", 1600], False]


def test_a_page_of_photos_that_say_nothing_has_no_such_columns(page):
    steps = """return [texts("thead th .dt-column-title"), all("nav select:not([hidden])").map(node => node.id)];"""
    head, filters = visit(page, steps)
    assert not {"Taken", "Camera", "Lens", "ISO", "Shutter", "Aperture", "Focal length"} & set(head)
    assert not {"camera", "lens", "copies"} & set(filters)


@pytest.mark.parametrize("policy", [True, False])
def test_hostile_names_are_inert(tmp_path, policy):
    """Open the page without its security policy, which would stop an injected script: names are inert anyway."""
    rows = [row for name in HOSTILE for row in (ok(f"/p/{name}/{name}"), failed(f"/p/x{name}", f"corrupt: {name}"))]
    assert main(["report", str(save_table(tmp_path, rows))]) == 0
    seen = visit(
        tmp_path / "report.html",
        """
      const violations = []; document.addEventListener("securitypolicyviolation", e => violations.push(e.blockedURI));
      for (const column of ["name", "folder", "error"]) await click(`th.of-${column}`);
      await set("#search", "&amp", "input"); const searched = names();
      await set("#search", "", "input"); await click("#gallery"); await click("td .picture"); await wait();
      return { hacked: window.hacked ?? null, violations, searched, names: names(),
        strangers: all("td img, td script, option *, #large script").length };""",
        policy,
    )
    assert seen["hacked"] is None
    assert seen["violations"] == []
    assert seen["strangers"] == 0
    assert sorted(seen["names"]) == sorted(row.path.split("/")[-1] for row in rows)
    assert len(seen["searched"]) == 2


def test_fifty_thousand_photos(tmp_path):
    rows = [ok(f"/p/{i % 50:02}/IMG_{i * 7919 % 50_000:05}.jpg", i % 1000 / 1000) for i in range(50_000)]
    assert main(["report", str(save_table(tmp_path, rows))]) == 0
    seen = visit(
        tmp_path / "report.html",
        """
      const rows = () => [all("tbody tr").length, names()[0], texts(".dt-info")[0]];
      const seen = [rows()];
      await click("th.of-blurred"); await click("th.of-blurred"); seen.push(texts("td.of-blurred")[0]);
      await click("th.of-name"); seen.push(rows());
      await set("#folder", "07/"); await click("#verdicts .sharp"); seen.push(rows());
      await set("#search", "IMG_4", "input"); seen.push(texts(".dt-info")[0]);
      return seen;""",
    )
    first, blurred, sorted_, filtered, searched = seen
    assert first[0] == sorted_[0] == 60  # rows in the page, however many photos there are
    assert blurred == "100 %"
    assert sorted_[1:] == ["IMG_00000.jpg", "1 to 60 of 50,000"]
    inside = [row for row in rows if row.path.startswith("/p/07/") and row.blur_fraction < 0.15]
    assert filtered[1:] == [min(r.path for r in inside)[6:], f"1 to 60 of {len(inside)} (50,000 in all)"]
    count = sum("IMG_4" in row.path for row in inside)
    assert f"of {count} " in searched


@pytest.mark.parametrize(("name", "steps", "options"), [
    ("table", "", ()),
    ("gallery-dark", 'await click("#gallery"); await click("#maps");', ("--blink-settings=preferredColorScheme=0",)),
])  # fmt: skip
def test_screenshot(page, tmp_path, name, steps, options):
    picture = images.load(photograph(page, tmp_path / f"{name}.png", steps, *options))
    assert picture.shape == (1250, 1400, 3)
    paper = picture[5, 5].astype(int)
    assert (paper.max() < 60) == ("dark" in name)
    assert (abs(picture.astype(int) - paper).max(axis=2) > 40).mean() > 0.03  # there is something on it
