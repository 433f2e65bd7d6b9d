"""A photo that is listed but not yet opened, and the grammar of its name."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import NamedTuple

from pyarrow.fs import FileInfo

from r2mrf.system.address import Address, is_address

_ESCAPE = r"\\x([0-9a-f]{2})"
_HELD = re.compile(r"(.+\.parquet)#(\d{1,18})", re.IGNORECASE | re.DOTALL | re.ASCII)
LAST = 2**63 - 1  # nanoseconds since 1970, in the year 2262: the latest time that a table's column can hold


class PhotoName(NamedTuple):
    """Where the bytes of a photo are: a file, or a row of a Parquet file of images.

    The text form is the `path` column of a table of scores: an absolute path, or an address without its secrets; for an
    image in a Parquet file, followed by `#ROW`. Bytes of a path that are not UTF-8 are written as \\xNN, and so is any
    text that would otherwise be read as such an escape or as a row, so that no two files have the same text.

    Attributes:
        file: the path to open, or the address with its secrets; as bytes, because not every name is UTF-8.
        row: the row in a Parquet file of images; None for a file of its own.
    """

    file: bytes
    row: int | None = None

    @classmethod
    def of(cls, location: str, row: int | None = None) -> PhotoName:
        """Return the name of the file at an absolute path or an address."""
        return cls(os.fsencode(location), row)

    @classmethod
    def parse(cls, text: str) -> PhotoName:
        """Return the name that a text stands for.

        Version 0.1 escaped only bytes that are not UTF-8. Therefore, if a file has exactly this text as its name, that
        file is meant.
        """
        if os.path.lexists(text):
            return cls.of(text)
        if held := _HELD.fullmatch(text):
            return cls.of(_unescaped(held[1]), int(held[2]))
        return cls.of(_unescaped(text))

    @property
    def location(self) -> str:
        """The path or address as a string that the system's functions accept."""
        return os.fsdecode(self.file)

    @property
    def address(self) -> Address | None:
        """The address, or None for a file on this machine."""
        return Address.parse(self.location) if is_address(self.location) else None

    @property
    def former_text(self) -> str:
        """The text form of version 0.1, in which two files could have the same name."""
        text = self.file.decode("utf-8", "backslashreplace")
        return text if self.row is None else f"{text}#{self.row}"

    def __str__(self) -> str:
        text = (
            os.fsencode(str(self.address)).decode("utf-8", "backslashreplace") if self.address else _escaped(self.file)
        )
        if self.row is not None:
            return f"{text}#{self.row}"
        return f"{text.rpartition('#')[0]}\\x23{text.rpartition('#')[2]}" if _HELD.fullmatch(text) else text

    def __repr__(self) -> str:
        return f"PhotoName({str(self)!r})"


class Photo(NamedTuple):
    """A listed photo.

    Attributes:
        path: its name as text, see `PhotoName`; contains no secret.
        file, row: its name, see `PhotoName`.
        size: bytes, or None if unknown.
        mtime: nanoseconds since 1970, 0 to `LAST`, or None if unknown.
        partner: the path, as text, of the raw file that is one photo with this file.
    """

    path: str
    file: bytes
    row: int | None = None
    size: int | None = None
    mtime: int | None = None
    partner: str | None = None

    @classmethod
    def of(cls, name: PhotoName, size: int | None = None, mtime: int | None = None) -> Photo:
        """Return the photo with this name."""
        return cls(str(name), *name, size, clamped(mtime))

    @property
    def name(self) -> PhotoName:
        """The name of the photo, which says where its bytes are."""
        return PhotoName(self.file, self.row)

    def __repr__(self) -> str:
        return f"Photo({self.path!r}, size={self.size}, mtime={self.mtime})"


def local_photo(path: str) -> Photo:
    """Return the photo at an absolute path; a missing file is listed, too, and fails when it is read."""
    try:
        facts = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # ValueError: the path contains a NUL byte
        return Photo.of(PhotoName.of(path))
    return Photo.of(PhotoName.of(path), facts.st_size, facts.st_mtime_ns)


def named_photo(path: str) -> Photo:
    """Return the photo at a path that a list names, or at another Unicode form of the path if only that exists."""
    if not path.isascii() and not os.path.lexists(path):
        forms = (unicodedata.normalize(form, path) for form in ("NFC", "NFD"))
        path = next((form for form in forms if os.path.lexists(form)), path)
    return local_photo(path)


def remote_photo(address: str, facts: FileInfo) -> Photo:
    """Return the photo at an address."""
    return Photo.of(PhotoName.of(address), facts.size, facts.mtime_ns)


def clamped(mtime: int | None) -> int | None:
    """Clamp a time to the range that a table's column can hold: wrong clocks write any time."""
    return None if mtime is None else min(max(mtime, 0), LAST)


def to_text(path: str) -> str:
    """Return a local path as text, see `PhotoName`."""
    return str(PhotoName.of(path))


def from_text(text: str) -> str:
    """Return the local path or the address that a text stands for, followed by `#ROW` if it has a row."""
    if "\\x" not in text:  # nothing is escaped, and the disk need not be asked
        return text
    name = PhotoName.parse(text)
    return name.location if name.row is None else f"{name.location}#{name.row}"


def _escaped(file: bytes) -> str:
    text = file.decode("utf-8", "surrogateescape")
    text = re.sub(_ESCAPE, r"\\x5cx\1", text) if "\\x" in text else text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _unescaped(text: str) -> str:
    if "\\x" not in text or is_address(text):
        return text
    return os.fsdecode(re.sub(_ESCAPE.encode(), lambda m: bytes.fromhex(m[1].decode()), os.fsencode(text)))
