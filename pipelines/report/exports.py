"""A scored library for other programs: one CSV file, or an XMP sidecar a photo. Photos are never touched."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree

from pipelines.library.columns import SCORES
from pipelines.library.photo import on_disk
from r2mrf.errors import UserError
from r2mrf.system.atomic import atomic_file

COLUMNS = [*SCORES.names, "burst", "burst_size", "sharpest"]  # the last three: see pipelines.report

RDF, DC, OURS = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://purl.org/dc/elements/1.1/", "urn:r2mrf:1#"
WRITTEN = ("verdict", "blur_fraction", "focus_area", "focus_x0", "focus_y0", "focus_x1", "focus_y1", "center_blur",
           "confidence", "burst", "sharpest", "model", "model_sha256", "content_sha256")  # fmt: skip

META, ITEM, KEYWORD = "{adobe:ns:meta/}xmpmeta", f"{{{RDF}}}li", "focus:"
# elements and attributes of a sidecar, besides our figures
FRAME = {META, ITEM, f"{{{DC}}}subject", *(f"{{{RDF}}}{name}" for name in ("RDF", "Description", "about", "Bag"))}

for _prefix, _uri in {"x": "adobe:ns:meta/", "rdf": RDF, "dc": DC, "r2mrf": OURS}.items():
    ElementTree.register_namespace(_prefix, _uri)


def write_csv(rows: list[dict], path: Path) -> None:
    """All rows and columns, with a line of names; UTF-8, lines end as RFC 4180 says.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def write_sidecars(rows: list[dict], folder: Path) -> list[str]:
    """STEM.xmp for each photo that was scored, all in `folder`; the second of a name becomes STEM-2.xmp.

    A sidecar holds the verdict as a keyword (`focus:sharp`, and `focus:sharpest of burst` where it is) and the
    figures under the namespace urn:r2mrf:1#.
    Sidecars of other programs, and ours that others have written into, hold a photographer's work: they are left as
    they are.

    Returns:
        A sentence for each sidecar that was not written.

    Raises:
        UserError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); give another folder") from None
    failures: list[str] = []
    taken: set[str] = set()
    for row in rows:
        if row["status"] != "ok":
            continue
        target = folder / f"{_free_stem(row['path'], taken)}.xmp"
        if target.exists() and not _is_ours(target):
            failures.append(f"{target}: another program's, or written into by one; give another folder to --xmp")
            continue
        try:
            with atomic_file(target) as temporary:
                temporary.write_bytes(sidecar(row))
        except UserError as error:
            failures.append(str(error))
    return failures


def sidecar(row: dict) -> bytes:
    """The XMP packet of a scored row, as UTF-8."""
    meta = ElementTree.Element(META)
    description = ElementTree.SubElement(ElementTree.SubElement(meta, f"{{{RDF}}}RDF"), f"{{{RDF}}}Description")
    description.set(f"{{{RDF}}}about", "")
    for name in WRITTEN:
        if row[name] is not None:
            description.set(f"{{{OURS}}}{name}", str(row[name]))
    keywords = ElementTree.SubElement(ElementTree.SubElement(description, f"{{{DC}}}subject"), f"{{{RDF}}}Bag")
    for keyword in [row["verdict"], *(["sharpest of burst"] if row["sharpest"] else [])]:
        ElementTree.SubElement(keywords, ITEM).text = f"{KEYWORD}{keyword}"
    ElementTree.indent(meta)
    return ElementTree.tostring(meta, encoding="utf-8", xml_declaration=True)


def _free_stem(path: str, taken: set[str]) -> str:
    """Also apart from names that differ in case only: folders of some systems take those for one."""
    stem = first = Path(on_disk(path)).stem
    number = 2
    while stem.lower() in taken:
        stem, number = f"{first}-{number}", number + 1
    taken.add(stem.lower())
    return stem


def _is_ours(path: Path) -> bool:
    """Whether nothing is in it but what `sidecar` writes: other programs add to the sidecars that they find."""
    try:
        elements = list(ElementTree.parse(path).iter())
    except (OSError, ValueError, LookupError, ElementTree.ParseError):  # unreadable, of an unknown encoding, no XML
        return False
    figures = {name for element in elements for name in (element.tag, *element.attrib)} - FRAME
    keywords = [element.text or "" for element in elements if element.tag == ITEM]
    ours = all(name.startswith(f"{{{OURS}}}") for name in figures) and all(k.startswith(KEYWORD) for k in keywords)
    return bool(figures) and ours
