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
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from importlib.metadata import distribution
from pathlib import Path
from string import Template
from urllib.parse import quote

import numpy as np

from pipelines.report import bursts, loupe, thumbnails
from pipelines.report.mirror import shared_folder
from pipelines.report.scored_folder import ReportRow, Scored
from pipelines.storage.addresses import Addresses
from r2mrf.imaging.images import REASONS
from r2mrf.prediction.focus import VERDICTS
from r2mrf.system.atomic import atomic_file

PAGE = Path(__file__).with_name("page_assets")

# The fields of a row that the page's script receives.
SHOWN = ("verdict", "blur_fraction", "focus_area", "center_blur", "confidence", "width", "height", "burst",
         "burst_size", "burst_rank", "sharpest", "thumbnail", "thumbnail_map", "crops", "crop_corners",
         "sharpest_radius", "sharp_view", "reason", "taken", "iso", "shutter", "aperture",
         "focal_length")  # fmt: skip
NAMED = ("camera", "lens")  # likewise, each by its number among all that there are


def with_pictures(scored: Scored, addresses: Addresses | None = None) -> Scored:
    """Make the thumbnails, find the bursts, and return the folder with both added to its rows.

    Photos in the buckets of `addresses` are fetched again.

    Raises:
        UserError: a thumbnail cannot be written.
    """
    there = thumbnails.make(scored.rows, scored.folder, addresses)
    crops: dict[str | None, tuple] = {found[0]: (name, found[1]) for name in there if (found := loupe.parse(name))}
    folder, rows = scored.folder / "thumbnails", []
    for row in scored.rows:
        names = thumbnails.photo_name(row), thumbnails.map_name(row)
        photo, small_map = (name if name in there else None for name in names)
        of_row, corners = crops.get(loupe.key_of(row) if names[0] else None, (None, None))
        rows.append(replace(row, thumbnail=photo, thumbnail_map=small_map, crops=of_row, crop_corners=corners))

    def time_of(row: ReportRow) -> datetime | None:
        return thumbnails.taken(folder / row.thumbnail) if row.thumbnail else None

    def grey_of(name: str | None) -> np.ndarray | None:
        return thumbnails.grey(folder / name) if name else None

    def likeness_of(row: ReportRow) -> int | None:
        grey = grey_of(row.thumbnail)
        return None if grey is None else bursts.likeness(grey)

    def picture_of(row: ReportRow) -> bursts.Picture | None:
        grey = grey_of(row.thumbnail)
        return None if grey is None else bursts.Picture.of(grey, grey_of(row.thumbnail_map))

    members = {}
    for number, burst in enumerate(bursts.find(rows, time_of, likeness_of), 1):
        for rank, row in enumerate(bursts.sharpest_first([(row, picture_of(row)) for row in burst]), 1):
            members[row.path] = replace(row, burst=number, burst_size=len(burst), burst_rank=rank)
    return replace(scored, rows=[members.get(row.path, row) for row in rows])


def write_page(scored: Scored, page: Path) -> None:
    """Write the page as one HTML file; `scored` must come from `with_pictures`.

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
    """Return the data for the page's script: rows as lists in the order of `fields`; folders and errors by number."""
    split = [row.path.rpartition("/") for row in scored.rows]
    root = shared_folder(row.path for row in scored.rows)
    folders = [(folder + slash)[len(root) :] for folder, slash, _ in split]
    errors = [row.error or "" for row in scored.rows]
    named = {name: [getattr(row, name) or "" for row in scored.rows] for name in NAMED}
    reasons = {row.reason for row in scored.rows}
    numbers = {name: {text: i for i, text in enumerate(sorted(set(texts)))} for name, texts in
               (("folders", folders), ("errors", errors), *named.items())}  # fmt: skip
    copies = _copies(scored.rows)
    return {
        "fields": ["folder", "name", *SHOWN, "detailed", "partner", *NAMED, "copies", "copy", "error"],
        "verdicts": [*VERDICTS, "failed"],
        "root": root,
        "folders": list(numbers["folders"]),
        "errors": list(numbers["errors"]),
        **{name: list(numbers[name]) for name in NAMED},
        "left_out": _left_out(scored.summary),
        "reasons": {key: text for key, text in REASONS.items() if key in reasons},
        "thresholds": [scored.thresholds.sharp_below, scored.thresholds.blurred_above],
        "model": f"{scored.summary.get('model')}",
        "crop": loupe.SIDE,
        "thumbnails": quote(os.path.relpath(scored.folder / "thumbnails", page.parent)) + "/",
        "rows": [
            [
                *(numbers["folders"][folder], name, *_shown(row)),
                *(numbers[key][getattr(row, key) or ""] for key in NAMED),
                *(*copies.get(row.path, (1, 1)), numbers["errors"][row.error or ""]),
            ]
            for row, folder, (_, _, name) in zip(scored.rows, folders, split, strict=True)
        ],
    }


def _shown(row: ReportRow) -> list:
    values = {name: getattr(row, name) for name in SHOWN} | {"verdict": row.verdict or "failed"}
    values["detailed"] = "sharpest" in loupe.boxes_of(row)
    values["partner"] = row.partner.rpartition("/")[2] if row.partner else None
    return [_brief(value) if isinstance(value, float) else value for value in values.values()]


def _brief(value: float) -> float:
    """Return a number with four places, or with six digits if it is small: an exposure may be 1/32000 s."""
    return round(value, 4) if abs(value) >= 0.1 else float(f"{value:.6g}")


def _copies(rows: list[ReportRow]) -> dict[str, tuple[int, int]]:
    """Return, for each photo with copies, the number of photos with its content, and its own number among them."""
    same: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.status == "ok" and row.content_sha256:
            same[row.content_sha256].append(row.path)
    return {
        path: (len(paths), number) for paths in same.values() if len(paths) > 1 for number, path in enumerate(paths, 1)
    }


def _left_out(summary: dict) -> dict[str, int]:
    """Return how many files the run left out, by reason, as far as summary.json says something sensible."""
    found = summary.get("left_out")
    if not isinstance(found, dict):
        return {}
    return {reason: number for reason, number in found.items() if isinstance(number, int) and number > 0}
