"""A scored library as CSV, for people and for exiftool, and as a list of paths."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.command.cli import main
from tests.support.photos import save_photo
from tests.support.scored_folder import failed, ok, save_table


def lines_of(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_holds_all_rows_with_the_new_verdicts(here, report):
    strange = '/p/a "quoted", with\nline.jpg'
    save_table(here, [ok(strange, 0.3), failed("/p/b.jpg", "empty: the file has no bytes")])
    assert report(here, "--sharp-below", "0.4", "--csv", "deep/all.csv")[0] == 0
    first, second = lines_of(Path("deep/all.csv"))
    assert (first["path"], first["verdict"], float(first["blur_fraction"])) == (strange, "sharp", 0.3)
    assert (second["status"], second["error"]) == ("failed", "empty: the file has no bytes")
    assert {second[name] for name in ("verdict", "blur_fraction", "burst", "sharpest")} == {""}


def test_exiftool_table_names_photos_of_this_machine_with_their_labels(here, report):
    odd = save_photo(here / "p" / os.fsdecode(b"caf\xe9.jpg"))
    rows = [ok("/p/sharp.jpg", 0.1), ok("/p/blurred.jpg", 0.9), ok("s3://b/far.jpg"), ok("/p/t.parquet#3"),
            replace(ok(odd), path=f"{here}/p/caf\\xe9.jpg"), failed("/p/bad.jpg")]  # fmt: skip
    save_table(here / "out", rows)
    assert report(here / "out", "--exiftool", "e.csv", "--xmp-fields", "keywords,rating,lightroom,digikam")[0] == 0
    table = {line.pop("SourceFile"): line for line in lines_of(Path("e.csv"))}
    assert table.keys() == {"/p/sharp.jpg", "/p/blurred.jpg", str(odd)}
    assert table["/p/sharp.jpg"] == {
        "XMP:Subject": "focus:sharp", "XMP:HierarchicalSubject": "focus|sharp", "XMP:TagsList": "focus/sharp",
        "XMP:Rating": "",
    }  # fmt: skip
    assert table["/p/blurred.jpg"]["XMP:Rating"] == "-1"


@pytest.fixture
def three(here) -> Path:
    rows = [ok("/p/new\nline.jpg", 0.9), ok("/p/b.jpg", 0.95), ok("/p/c.jpg", 0.1), failed("/p/d.jpg")]
    return save_table(here / "out", rows)


def test_list_of_paths_by_verdict_and_nothing_else(three, report):
    assert report(three, "--list", "sharp,failed") == (0, ["/p/c.jpg", "/p/d.jpg"], [])
    assert not (three / "report.html").exists()


def test_list_ends_paths_with_zero_bytes_if_asked(three, capsysbinary):
    assert main(["report", str(three), "--list", "blurred", "-0"]) == 0
    assert capsysbinary.readouterr().out == b"/p/b.jpg\0/p/new\nline.jpg\0"


def test_list_with_a_page_keeps_its_messages_out_of_the_list(three, report):
    status, out, _ = report(three, "--list", "sharp", "--csv", "all.csv")
    assert (status, out) == (0, ["/p/c.jpg"])
    assert len(lines_of(Path("all.csv"))) == 4


def test_no_such_verdict(three, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["report", str(three), "--list", "blury"])
    assert "choose from sharp, partial, blurred" in capsys.readouterr().err
