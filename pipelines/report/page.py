"""Makes the page of `r2mrf report`, to look through a scored folder without running the network again.

    r2mrf report DIR --sharp-below 0.1

The page is one self-contained file: the table library, styles, script and rows are in it, and its security policy
allows it to load nothing but pictures. Thumbnails are files beside it (see `pipelines.report.thumbnails`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from datetime import datetime
from importlib.metadata import distribution
from pathlib import Path
from string import Template
from urllib.parse import quote

from pipelines.library.photo import to_text
from pipelines.report import bursts, thumbnails
from pipelines.report.mirror import shared_folder
from pipelines.report.scored_folder import Scored
from pipelines.report.sharpest import Picture, sharpest_first
from pipelines.storage.addresses import Addresses
from r2mrf.errors import UserError
from r2mrf.imaging.images import REASONS
from r2mrf.prediction.focus import VERDICTS
from r2mrf.system.atomic import atomic_file

PAGE = Path(__file__).with_name("page_assets")

# The facts about a photo that the page's script receives, in this order.
FIELDS = ("folder", "name", "verdict", "blur", "focus", "center", "confidence", "width", "height",
          "burst", "burst_size", "sharpest", "thumbnail", "map", "error")  # fmt: skip


def add_pictures(scored: Scored, addresses: Addresses | None = None) -> None:
    """Make the thumbnails, find the bursts, and add both to the rows.

    Photos in the buckets of `addresses` are fetched again.

    Adds the columns `burst` (a number from 1, or None), `burst_size`, `sharpest` (of its burst), `thumbnail` and
    `thumbnail_map` (file names in thumbnails/, or None).

    Raises:
        UserError: a thumbnail cannot be written.
    """
    there = thumbnails.make(scored.rows, scored.folder, addresses)
    for row in scored.rows:
        names = thumbnails.photo_name(row), thumbnails.map_name(row)
        row["thumbnail"], row["thumbnail_map"] = (name if name in there else None for name in names)
        row["burst"] = row["burst_size"] = row["sharpest"] = None

    folder = scored.folder / "thumbnails"

    def time_of(row: dict) -> datetime | None:
        return thumbnails.taken(folder / row["thumbnail"]) if row["thumbnail"] else None

    def likeness_of(row: dict) -> int | None:
        return bursts.likeness(thumbnails.grey(folder / row["thumbnail"])) if row["thumbnail"] else None

    def picture_of(row: dict) -> Picture:
        small = row["thumbnail_map"]
        return Picture.of(
            thumbnails.grey(folder / row["thumbnail"]), thumbnails.grey(folder / small) if small else None
        )

    for number, burst in enumerate(bursts.find(scored.rows, time_of, likeness_of), 1):
        for place, row in enumerate(sharpest_first([(row, picture_of(row)) for row in burst])):
            row.update(burst=number, burst_size=len(burst), sharpest=place == 0)


def write_page(scored: Scored, page: Path) -> None:
    """Write the page as one HTML file; `scored.rows` must have the columns that `add_pictures` adds.

    Raises:
        UserError: the page cannot be written.
    """
    imports = json.dumps({"imports": {"itables": "data:text/javascript;base64," + _library()}})
    script = "\n".join((PAGE / f"{part}.js").read_text(encoding="utf-8") for part in ("cells", "table", "actions"))
    html = Template((PAGE / "page.html").read_text(encoding="utf-8")).substitute(
        allowed=" ".join(f"'sha256-{_sha256(code)}'" for code in (imports, script)),
        imports=imports,
        style=(PAGE / "page.css").read_text(encoding="utf-8"),
        data=_inert(_data(scored, page)),
        script=script,
    )
    with atomic_file(page) as temporary:
        temporary.write_text(html, encoding="utf-8")


def check_output(scored: Scored, target: Path) -> None:
    """Raise UserError if `target` is one of the photos, because photos are never overwritten."""
    names = {to_text(os.path.abspath(target)), to_text(os.path.realpath(target))}  # noqa: PTH100
    if any(row["path"] in names for row in scored.rows):
        raise UserError(f"{target} is one of the photos and would be overwritten: choose another name")


def _library() -> str:
    """Return the script of the table (jQuery and DataTables, from the package itables) in base64."""
    script = Path(str(distribution("itables").locate_file("itables/html/dt_bundle.js")))
    return base64.b64encode(script.read_bytes()).decode()


def _sha256(code: str) -> str:
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()


def _inert(values: dict) -> str:
    """Return JSON that cannot break out of its script element, whatever the names of photos contain."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _data(scored: Scored, page: Path) -> dict:
    """Return the data for the page's script: rows as lists in the order of `FIELDS`; folders and errors by number."""
    split = [row["path"].rpartition("/") for row in scored.rows]
    root = shared_folder(row["path"] for row in scored.rows)
    folders = [(folder + slash)[len(root) :] for folder, slash, _ in split]
    errors = [row["error"] or "" for row in scored.rows]
    numbers = {name: {text: i for i, text in enumerate(sorted(set(texts)))} for name, texts in
               (("folders", folders), ("errors", errors))}  # fmt: skip
    return {
        "fields": FIELDS,
        "verdicts": [*VERDICTS, "failed"],
        "root": root,
        "folders": list(numbers["folders"]),
        "errors": list(numbers["errors"]),
        "reasons": {key: text for key, text in REASONS.items() if any(e.startswith(f"{key}:") for e in errors)},
        "limits": [scored.thresholds.sharp_below, scored.thresholds.blurred_above],
        "model": f"{scored.summary.get('model')}",
        "thumbnails": quote(os.path.relpath(scored.folder / "thumbnails", page.parent)) + "/",
        "rows": [
            [numbers["folders"][folder], name, *_figures(row), numbers["errors"][row["error"] or ""]]
            for row, folder, (_, _, name) in zip(scored.rows, folders, split, strict=True)
        ],
    }


def _figures(row: dict) -> list:
    failed = row["status"] != "ok"
    shares = (row[name] for name in ("blur_fraction", "focus_area", "center_blur", "confidence"))
    return [
        "failed" if failed else row["verdict"],
        *(None if share is None else round(share, 4) for share in shares),
        *(row[name] for name in ("width", "height", "burst", "burst_size")),
        bool(row["sharpest"]),
        row["thumbnail"],
        row["thumbnail_map"],
    ]
