"""The report page of a large library, in Chromium: it opens, filters, sorts and turns pages."""

from pipelines.report.page import with_pictures, write_page
from pipelines.report.scored_folder import read
from tests.support.browser import needs_chromium
from tests.support.report_page import visit
from tests.support.scored_folder import failed, ok, save_table


@needs_chromium
def test_fifty_thousand_rows(tmp_path):
    rows = [
        ok(f"/p/{i % 50:02}/IMG_{i:05}.jpg", i % 101 / 100, iso=100 * (i % 7 + 1), camera=f"Camera {i % 3}")
        for i in range(49_990)
    ]
    save_table(tmp_path, [*rows, *(failed(f"/p/bad/{i}.jpg") for i in range(10))])
    write_page(with_pictures(read(tmp_path)), tmp_path / "report.html")
    steps = """
        const info = () => document.querySelector(".dt-info").textContent;
        const found = { first: info(), rows: names().length };
        await set("#folder", "07/"); found.folder = info();
        await set("#folder", ""); await click("th.of-iso"); await click("th.of-iso");
        found.iso = texts("td.of-iso")[0];
        await set("#search", "IMG_00042", "input"); found.search = names();
        return found;"""
    found = visit(tmp_path / "report.html", steps)
    assert (found["rows"], found["iso"], found["search"]) == (60, "700", ["IMG_00042.jpg"])
    assert found["first"].startswith("1 to 60 of 50,000")
    assert found["folder"].startswith("1 to 60 of 1,000")
