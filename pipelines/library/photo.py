"""A photo that is listed and not yet opened, and the grammar of its name."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import NamedTuple

from pyarrow.fs import FileInfo

from r2mrf.system.address import Address, is_address

_ESCAPE = r"\\x([0-9a-f]{2})"
_HELD = re.compile(r"(.+\.parquet)#(\d{1,18})", re.IGNORECASE | re.DOTALL | re.ASCII)
LAST = 2**63 - 1  # nanoseconds since 1970, in the year 2262: later times do not fit into a table's column


class PhotoName(NamedTuple):
    """The place of a photo's bytes: a file, or a row of a Parquet file of images.

    As text it is the `path` of a table of scores: an absolute path, or an address without its secrets; then `#ROW` for
    an image in a Parquet file. Bytes of a path that are not UTF-8 stand as \\xNN, and so does whatever would read as
    such an escape or as a row, so that no two files have one text.

    Attributes:
        file: what is opened, a path or an address with its secrets, as bytes since not every name is UTF-8.
        row: in a Parquet file of images; None for a file of its own.
    """

    file: bytes
    row: int | None = None

    @classmethod
    def of(cls, place: str, row: int | None = None) -> PhotoName:
        """Name of the file at an absolute path or an address."""
        return cls(os.fsencode(place), row)

    @classmethod
    def parse(cls, text: str) -> PhotoName:
        """The name that a text means. Until version 0.1 nothing was escaped but bytes that are not UTF-8: a file that
        has the very text for its name is meant then."""
        if os.path.lexists(text):
            return cls.of(text)
        if held := _HELD.fullmatch(text):
            return cls.of(_unescaped(held[1]), int(held[2]))
        return cls.of(_unescaped(text))

    @property
    def place(self) -> str:
        """The path or address, as functions of the system take it."""
        return os.fsdecode(self.file)

    @property
    def address(self) -> Address | None:
        """The address, unless the file lies on this machine."""
        return Address.parse(self.place) if is_address(self.place) else None

    @property
    def former_text(self) -> str:
        """The text of version 0.1, in which two files could have one name."""
        text = self.place if self.address else self.file.decode("utf-8", "backslashreplace")
        return text if self.row is None else f"{text}#{self.row}"

    def __str__(self) -> str:
        text = str(self.address) if self.address else _escaped(self.file)
        if self.row is not None:
            return f"{text}#{self.row}"
        return f"{text.rpartition('#')[0]}\\x23{text.rpartition('#')[2]}" if _HELD.fullmatch(text) else text

    def __repr__(self) -> str:
        return f"PhotoName({str(self)!r})"


class Photo(NamedTuple):
    """A listed photo.

    Attributes:
        path: its name as text, see `PhotoName`; shows no secret.
        file, row: its name.
        size: bytes, or None if nobody told.
        mtime: nanoseconds since 1970, 0 to `LAST`, or None if nobody told.
        partner: the path of a raw file that is one photo with it, as text.
    """

    path: str
    file: bytes
    row: int | None = None
    size: int | None = None
    mtime: int | None = None
    partner: str | None = None

    @classmethod
    def of(cls, name: PhotoName, size: int | None = None, mtime: int | None = None) -> Photo:
        """A photo by its name."""
        return cls(str(name), *name, size, clamped(mtime))

    @property
    def name(self) -> PhotoName:
        """Where its bytes are."""
        return PhotoName(self.file, self.row)

    def __repr__(self) -> str:
        return f"Photo({self.path!r}, size={self.size}, mtime={self.mtime})"


def local_photo(path: str) -> Photo:
    """A file of this machine, by its absolute path; a missing one is listed too, and fails when it is read."""
    try:
        facts = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # ValueError: a NUL byte in it
        return Photo.of(PhotoName.of(path))
    return Photo.of(PhotoName.of(path), facts.st_size, facts.st_mtime_ns)


def named_photo(path: str) -> Photo:
    """A file of this machine that a list names; of a name in two forms of Unicode, the one that is there."""
    if not path.isascii() and not os.path.lexists(path):
        forms = (unicodedata.normalize(form, path) for form in ("NFC", "NFD"))
        path = next((form for form in forms if os.path.lexists(form)), path)
    return local_photo(path)


def remote_photo(address: str, facts: FileInfo) -> Photo:
    """A file at an address."""
    return Photo.of(PhotoName.of(address), facts.size, facts.mtime_ns)


def clamped(mtime: int | None) -> int | None:
    """A time that fits into a table's column: clocks that are wrong write any."""
    return None if mtime is None else min(max(mtime, 0), LAST)


def to_text(path: str) -> str:
    """A path of this machine as text, see `PhotoName`."""
    return str(PhotoName.of(path))


def from_text(text: str) -> str:
    """The path of this machine, or the address, that a text means; a row of a table stays behind it."""
    name = PhotoName.parse(text)
    return name.place if name.row is None else f"{name.place}#{name.row}"


def _escaped(file: bytes) -> str:
    text = file.decode("utf-8", "surrogateescape")
    text = re.sub(_ESCAPE, r"\\x5cx\1", text) if "\\x" in text else text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _unescaped(text: str) -> str:
    if "\\x" not in text or is_address(text):
        return text
    return os.fsdecode(re.sub(_ESCAPE.encode(), lambda m: bytes.fromhex(m[1].decode()), os.fsencode(text)))
