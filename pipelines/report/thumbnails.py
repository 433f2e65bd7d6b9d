"""Makes small pictures of scored photos and of their maps, and crops at 1:1, for the report page.

Each one is a file in DIR/thumbnails, named by content: it is made once, found again by the next report, and loaded by
the browser only when it is scrolled into view. The page therefore stays small for any number of photos, while the first
report of a library takes as long as decoding its photos. A stopped run resumes. The files are JPEG and PNG, but their
names (.thumb, .crops, .apng) do not end in any of `images.SUFFIXES`: a scored folder may be inside the library, and the
next run must not take them for photos.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.cluster.progress import progress
from pipelines.library import held_images
from pipelines.library.columns import Row
from pipelines.library.photo import PhotoName
from pipelines.report import loupe
from pipelines.storage.addresses import Addresses
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.imaging.maps import STRENGTH, TINT
from r2mrf.imaging.resize import resize
from r2mrf.prediction.exif import EXIF, tags_of
from r2mrf.system.atomic import atomic_file
from r2mrf.system.machine import cores

SIDE = 256  # longest side, in pixels

TAKEN, FRACTION = 0x9003, 0x9291  # tags for the time and fraction of a second, in the directory of the exposure


def make(rows: Sequence[Row], scored: Path, addresses: Addresses | None = None) -> set[str]:
    """Make the missing thumbnails in `scored`/thumbnails. Photos are only read.

    Args:
        rows: rows of the table; failed ones are skipped.
        scored: the scored folder; its maps/ holds the maps, if there are any.
        addresses: photos in these buckets are fetched again; photos at other addresses get no thumbnail.

    Returns:
        The names that exist, see `photo_name`, `map_name` and `loupe.name_of`. A photo that is gone, or has changed
        since it was scored, has none.

    Raises:
        UserError: a thumbnail cannot be written.
    """
    folder = scored / "thumbnails"
    photos: dict[str, Row] = {}
    for row in rows:  # of photos with one content, one that is still there
        if (name := photo_name(row)) and (name not in photos or not _is_there(photos[name])):
            photos[name] = row
    maps = {name: row for row in rows if (name := map_name(row))}
    there, keys = _names(folder)
    addresses = addresses or Addresses()
    made = there | keys
    unmade = {name: row for name, row in photos.items() if {name, loupe.key_of(row) or name} - made}
    by_name = {name: PhotoName.parse(row.path) for name, row in unmade.items()}
    in_order = sorted(unmade, key=lambda name: (by_name[name].file, by_name[name].row or 0))  # of tables
    _each(partial(_photo, folder, addresses, made), {name: unmade[name] for name in in_order})
    there, keys = _names(folder)
    maps = {name: row for name, row in maps.items() if photo_name(row) in there}  # a map is shown only over its photo
    there |= _each(partial(_map, folder, scored / "maps"), {n: row for n, row in maps.items() if n not in there})
    return there & (photos.keys() | maps.keys()) | {name for name in there if name.endswith(loupe.SUFFIX)}


def _is_there(row: Row) -> bool:
    name = PhotoName.parse(row.path)
    return bool(name.address) or os.path.lexists(name.location)


def _names(folder: Path) -> tuple[set[str], set[str]]:
    """Return the file names in a folder, and the keys of the crops among them."""
    names = {path.name for path in folder.glob("*")}
    return names, {found[0] for name in names if (found := loupe.parse(name))}


def photo_name(row: Row) -> str | None:
    """Return the file name of a photo's thumbnail, or None if the row's hash is not one, as in a forged table."""
    sha256 = row.content_sha256 or ""
    return f"{sha256[:32]}.thumb" if re.fullmatch(r"[0-9a-f]{64}", sha256) else None


def map_name(row: Row) -> str | None:
    """Return the file name of the small map: the tint, as opaque as the photo is blurred."""
    stem = (row.map or "").removesuffix(".png")
    return f"{stem}-map.apng" if re.fullmatch(r"[0-9a-f]+", stem) else None


def _each(make, rows: dict[str, Row]) -> set[str]:
    """Run `make(name, row)` for all rows in threads (decoders release Python's lock); return the names it made."""
    with ThreadPoolExecutor(cores()) as pool:
        done: Iterable[bool] = pool.map(make, rows, rows.values())
        shown = progress(done, total=len(rows), desc="thumbnails", unit=" files", disable=not rows)
        return {name for name, made in zip(rows, shown, strict=True) if made}


def _photo(folder: Path, addresses: Addresses, made: set[str], name: str, row: Row) -> bool:
    """Make a photo's thumbnail and crops unless they exist; return whether both exist now.

    A photo that is too large to be decoded at full size gets no crops.
    """
    key = loupe.key_of(row) if (row.width or 0) * (row.height or 0) <= images.MAX_PIXELS else None
    needs_crops = key is not None and key not in made
    try:
        data = _content(row.path, addresses)
        if hashlib.sha256(data).hexdigest() != row.content_sha256:
            return False
        rgb = images.decode_reduced(data, 0 if needs_crops else SIDE)[0]
    except images.ImageError:
        return False
    if name not in made:
        exif = Image.Exif()
        exif.get_ifd(EXIF).update(_time_tags(data))
        with atomic_file(folder / name) as file:
            Image.fromarray(_shrink(rgb)).save(file, "JPEG", quality=80, exif=exif)
    if needs_crops and key:
        pixels, corners = loupe.crops(rgb, row)
        with atomic_file(folder / loupe.name_of(key, corners)) as file:
            Image.fromarray(pixels).save(file, "JPEG", quality=85)
    return True


def _content(path: str, addresses: Addresses) -> bytes:
    name = PhotoName.parse(path)
    if name.address and not addresses.has_credentials_for(name.location):
        raise images.ImageError("unreadable", "not to be fetched")
    if name.row is not None:
        return held_images.image(name.location, name.row, None, addresses)
    return addresses.read(name.location)


def _map(folder: Path, maps: Path, name: str, row: Row) -> bool:
    try:
        small = _shrink(images.decode_mask(images.read_bytes(maps / (row.map or ""))))
    except images.ImageError:
        return False
    picture = Image.fromarray(small, "P")
    picture.putpalette(TINT.astype(np.uint8).tobytes() * 256)
    with atomic_file(folder / name) as file:
        picture.save(file, "PNG", transparency=bytes(round(STRENGTH * grey) for grey in range(256)))
    return True


def _shrink(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = min(SIDE / max(height, width), 1)
    return resize(pixels, max(round(height * scale), 1), max(round(width * scale), 1))


def _time_tags(data: bytes) -> dict[int, str]:
    """Return the EXIF tags of the time of exposure; a thumbnail keeps them, because bursts are found by them."""
    tags = tags_of(data)[1]
    wanted = {TAKEN: r"\d{4}(:\d\d){2} \d\d(:\d\d){2}", FRACTION: r"\d{1,9}"}
    texts = {tag: str(tags.get(tag, "")).strip("\0 ") for tag in wanted}
    return {tag: text for tag, text in texts.items() if re.fullmatch(wanted[tag], text)}


def taken(file: Path) -> datetime | None:
    """Return when the photo of a thumbnail was taken, in the camera's time; None if unknown.

    Raises:
        UserError: the thumbnail is damaged.
    """
    with _opened(file) as image:
        tags = image.getexif().get_ifd(EXIF)
    try:
        time = datetime.strptime(str(tags.get(TAKEN)), "%Y:%m:%d %H:%M:%S")
    except ValueError:  # no time, or 0000:00:00 from a camera whose clock was never set
        return None
    return time.replace(microsecond=int(f"{tags.get(FRACTION, '0'):0<6}"[:6]))


def grey(file: Path) -> np.ndarray:
    """Return a thumbnail as grey levels, uint8 H×W; for a small map, 255 = defocused.

    Raises:
        UserError: the thumbnail is damaged.
    """
    with _opened(file) as image:
        return np.asarray(image if image.mode == "P" else image.convert("L"))


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(file) as image:
            yield image
    except (OSError, SyntaxError) as error:
        raise UserError(f"{file}: is damaged ({error}): remove it, and it will be made again") from None
