"""The report page of photos scored with --detail: their sharpest places at 1:1, and up to what size they are sharp."""

import csv
import io
from pathlib import Path

import pytest

from pipelines.command.cli import main
from tests.support.browser import needs_chromium
from tests.support.photos import save_scene
from tests.support.report_page import visit
from tests.support.scored_folder import ok, save_table

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def detailed(tmp_path_factory) -> Path:
    """Write the page of photos scored with --detail: in focus at 1:1, blurred by 2 pixels, too much; one without it."""
    folder = tmp_path_factory.mktemp("detailed")
    box = {f"{name}_{edge}": place for name in ("sharpest", "focus")
           for edge, place in zip(("x0", "y0", "x1", "y1"), (100, 200, 300, 400), strict=True)}  # fmt: skip
    none = dict.fromkeys(box)
    rows = []
    for name, others in {
        "a": {**box, "sharpest_radius": 0.0, "sharp_view": 1600},
        "b": {**box, "sharpest_radius": 2.0, "sharp_view": 900},
        "c": {**box, "sharpest_radius": None, "sharp_view": None, "focus_x1": 0},
        "d": none,
    }.items():
        photo = save_scene(folder / "photos" / f"{name}.jpg", ord(name), size=(1600, 1200))
        rows.append(ok(photo, width=1600, height=1200, **others))
    save_table(folder, rows)
    assert main(["report", str(folder)]) == 0
    return folder / "report.html"


def test_sharp_up_to(detailed):
    seen = visit(
        detailed,
        """
      const seen = { cells: texts("td.of-sharp-up-to") };
      await click("th.of-sharp-up-to"); seen.up = names();
      let text; URL.createObjectURL = blob => { text = blob.text(); return "blob:null/0"; };
      await click("#csv"); return { ...seen, csv: await text };""",
    )
    assert seen["cells"] == ["1,600 px 1:1", "900 px blur 2.0", "no size", ""]
    assert [name for name in seen["up"] if name != "d.jpg"] == ["c.jpg", "b.jpg", "a.jpg"]
    saved = {Path(row["path"]).stem: row for row in csv.DictReader(io.StringIO(seen["csv"], newline=""))}
    assert (saved["b"]["sharpest_radius"], saved["b"]["sharp_view"], saved["d"]["sharp_view"]) == ("2", "900", "")


def test_loupe(detailed):
    seen = visit(
        detailed,
        """
      const seen = [];
      for (const row of all("tbody tr")) {
        row.querySelector(".picture").click(); await wait();
        const loaded = all("#large figure img").map(image => image.complete && image.naturalWidth);
        const marks = all("#large .mark").map(mark => [mark.style.left, mark.style.width, mark.style.top]);
        seen.push([texts("#large figcaption"), loaded, marks, texts("#large p")[0]]);
        await click("#large .picture");
      }
      const opacity = () => getComputedStyle(document.querySelector("td .crop")).opacity;
      const before = opacity(); await press("l"); return { seen, opacity: [before, opacity()] };""",
    )
    (a, b, c, d), (before, after) = seen["seen"], seen["opacity"]
    focus = "Middle of the region in focus"
    assert [row[0] for row in (a, b, c, d)] == [
        ["Sharpest place in focus at 1:1", focus], ["Sharpest place blurred by 2.0 pixels", focus],
        ["Sharpest place blurred too much to measure"], [],
    ]  # fmt: skip
    assert [row[1] for row in (a, b, c, d)] == [[448, 448], [448, 448], [224], []]
    assert a[2][0] == ["5.5%", "14%", f"{100 * 188 / 1200:.4f}%"]
    assert "sharp up to 1,600 pixels, 1:1" in a[3] and "sharp up to 900 pixels ·" in b[3]
    assert "sharp at no size" in c[3] and "sharp" not in d[3]
    assert (before, after) == ("0", "1")
