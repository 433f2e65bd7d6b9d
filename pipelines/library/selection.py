"""Selects the files of a folder that are photos, and counts files that look like pictures but are left out.

Left out are files and folders that programs make (thumbnails of a NAS, recycle bins, resource forks of macOS), whatever
an ignore file (.r2mrfignore, with the syntax of .gitignore) or `--exclude` names, and formats that are not read.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePosixPath

from pathspec import GitIgnoreSpec

from r2mrf.errors import UserError, one_line
from r2mrf.formats.known import RAW_SUFFIXES, UNREAD
from r2mrf.imaging import images
from r2mrf.prediction import exif
from r2mrf.system.address import redacted

IGNORE_FILE = ".r2mrfignore"
MAX_IGNORE = 1 << 20  # bytes

# Folders that programs make, in lower case: NAS, recycle bins, thumbnail programs, macOS, file systems.
MACHINES = {
    "@eadir", "@recycle", "#recycle", "#snapshot", ".@__thumb", "$recycle.bin", ".trash", ".trashes",
    ".thumbnails", ".thumb", "__macosx", ".spotlight-v100", ".fseventsd", ".temporaryitems", "lost+found",
    "system volume information", ".picasaoriginals", ".dtrash",
}  # fmt: skip

# Suffixes of picture formats that may not be readable; `images.SUFFIXES` takes precedence for readable ones.
PICTURES = set(UNREAD) | {
    ".jxl", ".heic", ".heif", ".hif", ".svgz", ".kra", ".pcx", ".wmf", ".emf", ".djvu", ".srf", ".sr2", ".rwl", ".erf",
    ".kdc", ".dcr", ".mos", ".gpr", ".jxr", ".wdp", ".pbm", ".pnm", ".bpg",
}  # fmt: skip

# Suffixes of files that are no pictures; files with any other suffix are judged by their first bytes.
OTHERS = {
    ".txt", ".csv", ".parquet", ".json", ".xml", ".xmp", ".html", ".md", ".pdf", ".zip", ".gz", ".tar", ".7z", ".db",
    ".ini", ".log", ".doc", ".docx", ".xls", ".xlsx", ".mp4", ".mov", ".avi", ".mkv", ".mts", ".m2ts", ".3gp", ".webm",
    ".mp3", ".wav", ".m4a", ".aae", ".thm", ".lrv", ".pp3", ".dop", ".cos", ".py", ".yaml", ".yml", ".dvc", ".lock",
    ".safetensors", ".apng", ".gpx", ".srt", ".exe", ".dll", ".so", ".bin", ".iso", ".ithmb", ".lrcat", ".part",
}  # fmt: skip
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")

MACHINE, EXCLUDED, FORMAT = "made by a program", "excluded", "format not read"
BESIDE = "raw file beside its JPEG"  # the two are one photo, of which the JPEG is scored
AT_ONCE = 2.0  # seconds within which a camera writes both
HEAD = 1 << 20  # bytes of a file in which its time is looked for


class Selection:
    """Decides which entries of folders are photos, and counts those that are left out.

    Args:
        include: patterns; if there are any, only files that match one are selected, even in folders of MACHINES that
            match.
        exclude: patterns of what to leave out. Both use the syntax of .gitignore, relative to the source.

    Attributes:
        left_out: reason -> count; a folder counts as one, because its content is not examined.
    """

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()):
        self._include, self._exclude = _spec([*include], "--include"), _spec([*exclude], "--exclude")
        self._takes_all = not [*include]
        self.left_out: Counter[str] = Counter()

    def takes_folder(self, path: str, below: str, ignored: IgnoreFiles) -> bool:
        """Return whether to enter a folder. `below` is its path relative to the source."""
        named, above = (self._include.match_file(f"{folder}/") for folder in (below, below.rpartition("/")[0]))
        wanted = not self._takes_all and named and not above  # a pattern names this very folder
        name = PurePosixPath(path).name.lower()
        if (name in MACHINES or name.startswith(".trash-")) and not wanted:  # .trash-UID
            return self._leave(MACHINE)
        if self._exclude.match_file(f"{below}/") or ignored.match(path, is_folder=True):
            return self._leave(EXCLUDED)
        return True

    def takes_file(self, path: str, below: str, ignored: IgnoreFiles, local: bool = True) -> bool:
        """Return whether a file is a photo to score. Files that are clearly no pictures are not counted as left out."""
        name = PurePosixPath(path).name
        suffix = PurePosixPath(name).suffix.lower()
        is_photo = suffix in images.SUFFIXES
        if not is_photo and suffix not in PICTURES and (suffix in OTHERS or not local or not _begins_as_picture(path)):
            return False
        if name.startswith("._") and local and not _begins_as_picture(path):
            return self._leave(MACHINE)  # an AppleDouble file, which holds metadata
        if re.match(r"\.(trashed|pending)-\d+-", name):
            return self._leave(MACHINE)  # Android's files that are deleted or not yet complete
        if self._exclude.match_file(below) or ignored.match(path):
            return self._leave(EXCLUDED)
        if not self._takes_all and not self._include.match_file(below):
            return self._leave(EXCLUDED)
        if not is_photo and suffix in PICTURES and not (local and _is_readable_format(path)):
            return self._leave(f"{FORMAT}: {suffix}")
        return True

    def sentence(self) -> str:
        """Return the counts of what was left out, by reason."""
        return ", ".join(f"{number} {reason}" for reason, number in sorted(self.left_out.items()))

    def _leave(self, reason: str) -> bool:
        self.left_out[reason] += 1
        return False


def raws_beside_jpegs(folder: str, names: Iterable[str]) -> dict[str, str]:
    """Return the raw files of a folder that are one photo with a JPEG there, each with the name of that JPEG.

    The two have the same stem, ignoring case, and were taken at the same time. If one of them does not say when it
    was taken, the stem decides.
    """
    paths = [PurePosixPath(name) for name in sorted(names)]
    jpegs = {path.stem.lower(): path.name for path in paths if path.suffix.lower() in (".jpg", ".jpeg")}
    pairs = {raw.name: jpegs.get(raw.stem.lower()) for raw in paths if raw.suffix.lower() in RAW_SUFFIXES}
    return {raw: jpeg for raw, jpeg in pairs.items() if jpeg and _of_one_time(f"{folder}/{jpeg}", f"{folder}/{raw}")}


def _of_one_time(jpeg: str, raw: str) -> bool:
    try:
        apart = os.stat(jpeg).st_mtime - os.stat(raw).st_mtime  # noqa: PTH116
    except OSError:
        return True
    if abs(apart) <= AT_ONCE:
        return True
    times = [exif.read(_beginning(path, HEAD)).taken for path in (jpeg, raw)]
    if None in times:
        return True
    first, second = (datetime.fromisoformat(time[:19]) for time in times if time)
    return abs((first - second).total_seconds()) <= AT_ONCE


class IgnoreFiles:
    """The ignore files of the folders above the current place of a walk; the deepest one that matches decides."""

    def __init__(self) -> None:
        self._specs: list[tuple[str, GitIgnoreSpec]] = []

    def enter(self, folder: str, has_file: bool) -> None:
        """Read a folder's own ignore file. Folders must come in the order of their paths.

        Raises:
            UserError: the file cannot be read.
        """
        self._specs = [(top, spec) for top, spec in self._specs if folder == top or folder.startswith(f"{top}/")]
        if has_file:
            self._specs.append((folder, _read(f"{folder}/{IGNORE_FILE}")))

    def match(self, path: str, is_folder: bool = False) -> bool:
        """Return whether the path is to be ignored."""
        for top, spec in reversed(self._specs):
            found = spec.check_file(path[len(top) + 1 :] + ("/" if is_folder else "")).include
            if found is not None:
                return found
        return False


def _read(path: str) -> GitIgnoreSpec:
    try:
        data = images.read_bytes(path)[:MAX_IGNORE]
    except images.ImageError as error:
        if error.reason == "empty":
            return _spec([], path)
        raise UserError(f"{path}: cannot be read ({error.detail}): fix it, or remove it") from None
    return _spec(data.decode("utf-8", "surrogateescape").splitlines(), path)


def _spec(patterns: list[str], where: str) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise UserError(f"{where}: {redacted(one_line(error))}: give patterns in the syntax of .gitignore") from None


def _begins_as_picture(path: str) -> bool:
    """Return whether a file starts with the first bytes of an image format, whatever its name."""
    data = _beginning(path)
    if data[4:8] == b"ftyp":
        return any(data[at : at + 4] in (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1") for at in (8, 16, 20))
    return data.startswith(_BEGINNINGS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP") or data[:4] in _TIFF


def _is_readable_format(path: str) -> bool:
    """Return whether a file with an unread suffix has a format that is read, like a JPEG named .heic."""
    data = _beginning(path)
    return data.startswith(_BEGINNINGS) or (data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis"))


_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _beginning(path: str, size: int = 32) -> bytes:
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError):
        return b""
    try:
        return os.read(number, size)
    except OSError:
        return b""
    finally:
        os.close(number)
