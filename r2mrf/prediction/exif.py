"""Reads how a photo was taken from its metadata. Cameras and editors write anything, so no value is trusted."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PIL import Image

from r2mrf.formats import jpeg, jpeg_xl, known
from r2mrf.imaging import images

EXIF = 0x8769  # tag of the directory with the exposure data
_LONGEST = 100  # characters of a name
_XMP_READ = 1 << 18  # bytes at the start of a file that are searched for XMP
_RATING = re.compile(rb"xmp:Rating(?:=[\"']|>)\s*(-1|[0-5])(?:\.0)?\s*[\"'<]")


@dataclass(frozen=True)
class Taken:
    """Facts from a photo's EXIF and XMP; None for values that are missing or make no sense.

    Attributes:
        taken: time of exposure by the camera's clock, YYYY-MM-DDTHH:MM:SS, with the fraction of a second and the
            offset from UTC (+02:00) if the file states them.
        shutter: seconds.
        aperture: f-number.
        focal_length: millimetres; the lens's own, not the 35 mm equivalent.
        orientation: 1 to 8; 1 = as stored.
        rating: -1 = rejected, 0 to 5.
    """

    taken: str | None = None
    camera: str | None = None
    lens: str | None = None
    iso: int | None = None
    shutter: float | None = None
    aperture: float | None = None
    focal_length: float | None = None
    orientation: int | None = None
    rating: int | None = None


def read(data: bytes) -> Taken:
    """Read the facts from an image file's bytes; a damaged value is left out and affects no other."""
    main, tags = tags_of(data)
    return Taken(
        taken=_time(tags.get(0x9003), tags.get(0x9291), tags.get(0x9011)),
        camera=_camera(_text(main.get(0x010F)), _text(main.get(0x0110))),
        lens=_text(tags.get(0xA434)),
        iso=_whole(tags.get(0x8827), 1, 10_000_000),
        shutter=_number(tags.get(0x829A), 1e-6, 1e6),
        aperture=_number(tags.get(0x829D), 0.1, 1000),
        focal_length=_number(tags.get(0x920A), 0.1, 100_000),
        orientation=_whole(main.get(0x0112), 1, 8),
        rating=_rating(main.get(0x4746), jpeg_xl.metadata(data, b"xml ") or data[:_XMP_READ]),
    )


def tags_of(data: bytes) -> tuple[Mapping[int, Any], Mapping[int, Any]]:
    """Return an image file's EXIF tags: those of the picture and those of its exposure, by number; empty if broken."""
    form = known.optional(data)
    is_heif = form is not None and form.name == "HEIF" and known.is_installed(form)
    size = jpeg.dimensions(data)
    if size is not None and size[0] * size[1] > images.MAX_PIXELS:  # Pillow opens no larger picture
        data = jpeg.header(data)
    try:
        if form is not None and form.name == "JXL":  # Pillow's plugin would decode all pixels once more
            main = Image.Exif()
            main.load(b"Exif\0\0" + jpeg_xl.exif(data))
            return main, main.get_ifd(EXIF)
        with Image.open(io.BytesIO(data), formats=("HEIF",) if is_heif else images.FORMATS) as image:
            main = image.getexif()
            return main, main.get_ifd(EXIF)
    except Exception:  # broken metadata around good pixels, or a format that Pillow does not read
        return {}, {}


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    text = "".join(c if c.isprintable() else " " for c in value.partition("\0")[0])
    return " ".join(text.split())[:_LONGEST] or None


def _camera(maker: str | None, model: str | None) -> str | None:
    """Join maker and model; many models repeat the maker's name."""
    if not (maker and model):
        return model or maker
    return model if model.lower().startswith(maker.split()[0].lower()) else f"{maker} {model}"


def _number(value: Any, least: float, most: float) -> float | None:
    try:
        number = float(value[0] if isinstance(value, tuple) else value)
    except (TypeError, ValueError, ZeroDivisionError, IndexError, OverflowError):
        return None
    return number if math.isfinite(number) and least <= number <= most else None


def _whole(value: Any, least: int, most: int) -> int | None:
    number = _number(value, least, most)
    return None if number is None else int(number)


def _time(value: Any, fraction: Any, offset: Any) -> str | None:
    text = _text(value) or ""
    if not re.fullmatch(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d", text, re.ASCII):
        return None
    try:
        seconds = datetime.strptime(text, "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:  # 0000:00:00 of a clock that was never set, or a 31st of February
        return None
    digits = _text(fraction) or ""
    fraction = f".{digits[:6]}" if re.fullmatch(r"\d+", digits, re.ASCII) else ""
    zone = _text(offset) or ""
    zone = zone if re.fullmatch(r"[+-][01]\d:[0-5]\d", zone, re.ASCII) else ""
    return f"{seconds}{fraction}{zone}"


def _rating(value: Any, xmp: bytes) -> int | None:
    """Return the rating from XMP, which can also reject a photo, or else from EXIF."""
    if found := _RATING.search(xmp):
        return int(found[1])
    return _whole(value, 0, 5)
