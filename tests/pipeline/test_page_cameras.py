"""The report page filters by camera, lens and ISO, shows copies once, and counts the files that were left out."""

from pathlib import Path

import pytest

from pipelines.command.cli import main
from tests.support.browser import needs_chromium
from tests.support.report_page import visit
from tests.support.scored_folder import failed, ok, save_table

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def taken(tmp_path_factory) -> Path:
    """Photos of two cameras; a.jpg and copy.jpg have one content; a raw file lies beside c.jpg."""
    folder = tmp_path_factory.mktemp("taken")
    one = {"camera": "Canon <b>", "lens": "EF 50", "iso": 100, "shutter": 0.004, "aperture": 1.8, "focal_length": 50.0}
    two = {"camera": "Nikon", "lens": None, "iso": 6400, "shutter": 1 / 32000, "taken": "2026-11-29T10:00:05.25+02:00"}
    same = {"content_sha256": "ab" * 32}
    rows = [
        *(ok("/p/a.jpg", 0.1, **one, **same), ok("/p/b.jpg", 0.9, **two), failed("/p/d.jpg")),
        *(ok("/p/c.jpg", 0.5, **one, partner="/p/c.CR2"), ok("/p/copy.jpg", 0.1, **one, **same)),
    ]
    save_table(folder, rows, left_out={"excluded": 3, "format not read: .psd": 1})
    assert main(["report", str(folder)]) == 0
    return folder / "report.html"


def test_sorted_and_filtered_by_camera_lens_and_iso(taken):
    steps = """
        const found = { first: names(), head: texts("thead th .dt-column-title") };
        found.cameras = texts("#camera option"); found.lenses = texts("#lens option");
        await set("#camera", 2); found.nikon = names();
        found.row = texts("td.of-iso, td.of-shutter, td.of-taken");
        await set("#camera", ""); await set("#lens", 1); found.fifty = names();
        found.canon = texts("td.of-camera, td.of-shutter, td.of-aperture, td.of-focal-length").slice(0, 4);
        await set("#lens", "");
        await click("th.of-iso"); await click("th.of-iso"); found.by_iso = names();
        return found;"""
    found = visit(taken, steps)
    assert found["first"] == ["a.jpg × 2", "b.jpg", "c.jpg + CR2", "d.jpg"]
    assert {"Taken", "Camera", "Lens", "ISO", "Shutter", "Aperture", "Focal length"} <= set(found["head"])
    assert found["cameras"] == ["All cameras", "unknown (1)", "Canon <b> (3)", "Nikon (1)"]
    assert found["lenses"] == ["All lenses", "unknown (2)", "EF 50 (3)"]
    assert (found["nikon"], found["row"]) == (["b.jpg"], ["2026-11-29 10:00:05", "6400", "1/32000"])
    assert found["fifty"] == ["a.jpg × 2", "c.jpg + CR2"]
    assert found["canon"] == ["Canon <b>", "1/250", "f/1.8", "50 mm"]
    assert found["by_iso"][0] == "b.jpg"


def test_copies_are_shown_once_and_what_was_left_out_is_counted(taken):
    steps = """
        const found = { left_out: texts("#left-out li") };
        await set("#copies", "all"); found.all = names();
        await set("#copies", "copies"); found.copies = names();
        return found;"""
    found = visit(taken, steps)
    assert found["left_out"] == ["3 excluded", "1 format not read: .psd"]
    assert found["all"] == ["a.jpg × 2", "b.jpg", "c.jpg + CR2", "copy.jpg × 2", "d.jpg"]
    assert found["copies"] == ["a.jpg × 2", "copy.jpg × 2"]
