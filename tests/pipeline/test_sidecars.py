"""XMP sidecars: their paths, their contents, and how they keep what other programs wrote."""

import os
import re
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pipelines.library.photo import to_text
from pipelines.report.labels import FIELDS
from pipelines.report.scored_folder import ReportRow
from pipelines.report.sidecars import sidecar, write_sidecars
from pipelines.report.xml_positions import NotEditable, parse
from tests.support.photos import save_photo
from tests.support.scored_folder import MADE_BY, failed, ok, save_table

NAMES = {"rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "dc": "http://purl.org/dc/elements/1.1/",
         "xmp": "http://ns.adobe.com/xap/1.0/", "lr": "http://ns.adobe.com/lightroom/1.0/",
         "digiKam": "http://www.digikam.org/ns/1.0/", "r2mrf": "urn:r2mrf:1#"}  # fmt: skip

DARKTABLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <!-- edited on a Sunday -->
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:darktable="http://darktable.sf.net/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
   xmp:Rating="4"
   darktable:history_end='2 > 1'>
   <darktable:history><rdf:Seq><rdf:li darktable:params="00&amp;7f"/></rdf:Seq></darktable:history>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Granny</rdf:li>
     <rdf:li>focus:stacking, my own keyword</rdf:li>
    </rdf:Bag>
   </dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""


def row(path: str = "/p/a.jpg", blur: float = 0.5, **others: object) -> ReportRow:
    return ok(path, blur, **others)


def read(packet: bytes) -> dict[str, object]:
    """Return the properties of a packet by name, keywords as lists. A property that occurs twice is an error."""
    found: dict[str, object] = {}
    prefixes = {uri: prefix for prefix, uri in NAMES.items()}
    short = lambda name: re.sub(r"\{(.*?)\}", lambda m: prefixes.get(m[1], m[1]) + ":", name)  # noqa: E731
    for description in ElementTree.fromstring(packet).iter(f"{{{NAMES['rdf']}}}Description"):
        for name, value in description.attrib.items():
            if not name.endswith("about"):
                assert short(name) not in found
                found[short(name)] = value
        for child in description:
            assert short(child.tag) not in found
            items = [item.text for item in child.iter(f"{{{NAMES['rdf']}}}li")]
            found[short(child.tag)] = items or child.text
    return found


# --- where they are ----------------------------------------------------------------------------------------


def places(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.xmp"))


def test_they_mirror_the_folders_of_the_library(here, report):
    photos = [save_photo(here / "pics" / name) for name in ("101CANON/IMG_1.JPG", "100CANON/IMG_1.JPG")]
    save_table(here / "out", [*(ok(photo) for photo in photos), failed(here / "pics" / "bad.jpg")])
    assert report(here / "out", "--xmp", "x") == (
        0, [f"{here / 'out'}: 2 partial, 1 failed", f"page: {here / 'out' / 'report.html'}"], [],
    )  # fmt: skip
    assert places(here / "x") == ["100CANON/IMG_1.JPG.xmp", "101CANON/IMG_1.JPG.xmp"]
    report(here / "out", "--xmp", "y", "--xmp-name", "stem")
    assert places(here / "y") == ["100CANON/IMG_1.xmp", "101CANON/IMG_1.xmp"]


def test_below_a_folder_of_the_photos_they_lie_beside_them(here):
    save_photo(here / "pics" / "a" / "1.jpg")
    assert write_sidecars([row(f"{here}/pics/a/1.jpg")], here / "pics") == []
    assert places(here) == ["pics/a/1.jpg.xmp"]


def test_a_folder_of_the_photos_named_by_a_link_is_known(here):
    photo = save_photo(here / "disk" / "a" / "x.jpg")
    (here / "Pictures").symlink_to(here / "disk")
    write_sidecars([row(str(photo))], here / "Pictures")
    assert (here / "disk" / "a" / "x.jpg.xmp").is_file()
    assert not (here / "disk" / "x.jpg.xmp").exists()


def test_photos_listed_below_a_link_in_the_folder_keep_their_places(here):
    save_photo(here / "disk" / "album" / "x.jpg")
    (here / "lib").mkdir()
    (here / "lib" / "album").symlink_to(here / "disk" / "album")
    write_sidecars([row(f"{here}/lib/album/x.jpg")], here / "lib")
    assert (here / "disk" / "album" / "x.jpg.xmp").is_file()
    assert not (here / "lib" / "x.jpg.xmp").exists()


def test_folders_whose_names_are_not_utf8_are_mirrored_too(here):
    album = f"{here}/caf\udce9"
    rows = [row(to_text(f"{album}/{name}")) for name in ("a/1.jpg", "b/2.jpg")]
    assert write_sidecars(rows, here / "x") == []
    assert places(here / "x") == ["a/1.jpg.xmp", "b/2.jpg.xmp"]
    assert write_sidecars(rows, Path(album)) == []
    assert places(Path(album)) == ["a/1.jpg.xmp", "b/2.jpg.xmp"]


def test_photos_elsewhere_and_in_tables_have_places_too(here):
    rows = [row("s3://bucket/x/a.jpg"), row("s3://bucket/t.parquet#12")]
    assert write_sidecars(rows, here / "x") == []
    assert places(here / "x") == ["t.parquet#12.xmp", "x/a.jpg.xmp"]


def test_a_sidecar_is_of_one_photo(here):
    rows = [row("/p/a.jpg", 0.1), row("/p/a.png", 0.2)]
    (said,) = write_sidecars(rows, here, "stem")
    assert said == f"{here}/a.xmp: also the sidecar of /p/a.jpg, so /p/a.png gets none: use --xmp-name full"
    assert read((here / "a.xmp").read_bytes())["r2mrf:photo"] == "a.jpg"


def test_a_path_of_a_stranger_leads_nowhere_else(here):
    rows = [row("/p/x/../../../evil.jpg"), row("/p/a.jpg"), row("/p/y/b.jpg")]
    (said,) = write_sidecars(rows, here / "x")
    assert "cannot be mirrored" in said
    assert places(here) == ["x/a.jpg.xmp", "x/y/b.jpg.xmp"]


def test_one_name_that_is_too_long_costs_one_sidecar(here):
    (said,) = write_sidecars([row(f"/p/{'x' * 253}.j"), row("/p/b.jpg")], here)
    assert "cannot be written" in said
    assert places(here) == ["b.jpg.xmp"]


def test_folder_cannot_be_made(here, report):
    save_table(here / "out", [ok("/p/a.jpg")])
    Path("taken").touch()
    status, _, err = report(here / "out", "--xmp", "taken")
    assert (status, len(err)) == (2, 1)
    assert "taken: cannot be created" in err[0]


# --- what they say -----------------------------------------------------------------------------------------


def test_figures_and_keyword():
    found = read(sidecar(row('/p/a & "b" <c>\x07.jpg', 0.3, verdict="sharp")))
    assert (found["r2mrf:verdict"], found["r2mrf:blur_fraction"]) == ("sharp", "0.3")
    assert found["r2mrf:model_sha256"] == MADE_BY["model_sha256"]
    assert found["r2mrf:photo"] == 'a & "b" <c>\\x07.jpg'
    assert found["dc:subject"] == ["focus:sharp"]
    assert "r2mrf:burst" not in found


def test_how_sharp_it_is_where_it_is_sharpest():
    found = read(sidecar(row(sharpest_radius=2.4, sharp_view=1980, sharpest_x0=100)))
    assert (found["r2mrf:sharpest_radius"], found["r2mrf:sharp_view"]) == ("2.4", "1980")
    assert "r2mrf:sharp_view" not in read(sidecar(row()))


def test_every_field():
    found = read(sidecar(row(verdict="blurred", burst=1, burst_size=2, burst_rank=1), FIELDS))
    assert found["dc:subject"] == ["focus:blurred", "focus:sharpest of burst"]
    assert found["lr:hierarchicalSubject"] == ["focus|blurred", "focus|sharpest of burst"]
    assert found["digiKam:TagsList"] == ["focus/blurred", "focus/sharpest of burst"]
    assert (found["xmp:Rating"], found["xmp:Label"]) == ("-1", "Red")


# --- what stays --------------------------------------------------------------------------------------------


def test_another_programs_sidecar_keeps_every_byte_and_gains_ours():
    merged = sidecar(row(verdict="sharp"), FIELDS, DARKTABLE.encode()).decode()
    before, _, after = merged.partition("\n     <rdf:li>focus:sharp</rdf:li>")
    block = after[after.index("\n  <rdf:Description xmlns:rdf=") : after.index("\n </rdf:RDF>")]
    assert before + after.replace(block, "") == DARKTABLE
    found = read(merged.encode())
    assert found["dc:subject"] == ["Granny", "focus:stacking, my own keyword", "focus:sharp"]
    assert found["xmp:Rating"] == "4"  # the photographer's
    assert (found["xmp:Label"], found["lr:hierarchicalSubject"]) == ("Green", ["focus|sharp"])


def test_a_new_verdict_replaces_the_old_one_and_nothing_else():
    first = sidecar(row(verdict="blurred"), FIELDS, DARKTABLE.encode())
    assert sidecar(row(verdict="blurred"), FIELDS, first) == first
    other = sidecar(row(verdict="sharp"), FIELDS, first)
    assert sidecar(row(verdict="blurred"), FIELDS, other) == first
    new = sidecar(row(verdict="blurred"), FIELDS)
    assert sidecar(row(verdict="blurred"), FIELDS, sidecar(row(verdict="sharp"), FIELDS, new)) == new


def test_files_that_others_wrote_into_the_folder_stay():
    ours = sidecar(row(verdict="blurred"), FIELDS).decode()
    theirs = ours.replace('xmp:Rating="-1"', 'xmp:Rating="5"').replace(
        "<rdf:li>focus:", "<rdf:li>Granny</rdf:li><rdf:li>focus:", 1
    )
    theirs = theirs.replace("</rdf:Bag>", "<!-- mine --></rdf:Bag>", 1)
    merged = sidecar(row(verdict="sharp"), FIELDS, theirs.encode())
    found = read(merged)
    assert (found["xmp:Rating"], found["xmp:Label"]) == ("5", "Green")
    assert found["dc:subject"] == ["Granny", "focus:sharp"]
    assert b"<!-- mine -->" in merged


def test_the_form_that_other_programs_give_ours_is_known():
    """Exiv2 and exiftool write all properties again, in one description, as elements or attributes."""
    theirs = f"""<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='{NAMES["rdf"]}'>
<rdf:Description rdf:about='uuid:1' xmlns:f='urn:r2mrf:1#' xmlns:dc='{NAMES["dc"]}' f:photo='a.jpg'>
 <f:verdict>blurred</f:verdict>
 <dc:subject><rdf:Bag/></dc:subject>
 <dc:rights>me</dc:rights>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
    merged = sidecar(row(verdict="sharp"), old=theirs.encode())
    found = read(merged)
    assert (found["r2mrf:verdict"], found["dc:subject"], found["dc:rights"]) == ("sharp", ["focus:sharp"], "me")
    assert merged.count(b"uuid:1") == 2


@pytest.mark.parametrize("old", [
    b"", b"<stars>5</stars>", b"no xml", DARKTABLE.encode("utf-16"),
    b'<!DOCTYPE x [<!ENTITY a "b">]>' + DARKTABLE.partition("?>")[2].encode(),
    DARKTABLE.replace("<rdf:Bag>", "<rdf:Alt>").replace("</rdf:Bag>", "</rdf:Alt>").encode(),
    DARKTABLE.replace("UTF-8", "ISO-8859-1").encode(),
    DARKTABLE.encode()[:-200],
])  # fmt: skip
def test_what_cannot_be_merged_is_left(here, old):
    (here / "a.jpg.xmp").write_bytes(old)
    (said,) = write_sidecars([row()], here)
    assert f"{here}/a.jpg.xmp: left as it is: " in said
    assert (here / "a.jpg.xmp").read_bytes() == old
    if old:
        with pytest.raises(NotEditable):
            sidecar(row(), old=old)


def test_a_sidecar_with_very_many_namespaces_is_left():
    many = " ".join(f'xmlns:n{i}="urn:{i}"' for i in range(2000))
    with pytest.raises(NotEditable, match="namespaces"):
        parse(f"<a {many}>{'<b/>' * 2000}</a>".encode())


def test_long_text_of_a_sidecar_takes_little_time():
    began = time.process_time()
    assert parse(b"<a>" + b"x\n" * 2_000_000 + b"</a>").text == "x\n" * 2_000_000
    assert time.process_time() - began < 10


def test_pipes_and_devices_are_left_and_nothing_waits(here):
    os.mkfifo(here / "a.jpg.xmp")
    (here / "b.jpg.xmp").symlink_to("elsewhere.xmp")
    (here / "c.jpg.xmp").mkdir()
    said = write_sidecars([row(f"/p/{name}.jpg") for name in "abcd"], here)
    assert [text.partition(": left as it is")[0] for text in said] == [f"{here}/{name}.jpg.xmp" for name in "abc"]
    assert places(here) == ["a.jpg.xmp", "b.jpg.xmp", "c.jpg.xmp", "d.jpg.xmp"]
