"""The folder that a scoring run writes to. Only the files that are ours may be removed; all others are the user's.

A marker file says that the folder is ours, and which of its sub-folders are. Files are written in a scratch folder
whose name contains the marker's ID, and then renamed into place. Only the scratch folder is ever cleaned up.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from r2mrf.errors import UserError
from r2mrf.system import strict_json
from r2mrf.system.atomic import atomic_file
from r2mrf.system.regular_files import read_regular

MARKER = ".r2mrf.json"
# name patterns of the pictures that score and report make, by sub-folder
PICTURES = {
    "maps": r"[0-9a-f]{32}\.png",
    "thumbnails": r"[0-9a-f]{32}\.(?:thumb|jfif)|[0-9a-f]+-map\.apng|[0-9a-f]{32}-[-sf.\d]+@[\d._]+\.crops",
}
FOLDERS = ("manifest", "scores", *PICTURES)
FILES = ("summary.json", "engines.json", "report.html")


@dataclass(frozen=True)
class OutFolder:
    """A folder for a table of scores.

    Attributes:
        identity: 32 hex digits, in the marker and in the name of the scratch folder.
        folders: the sub-folders that are ours.
    """

    path: Path
    identity: str
    folders: tuple[str, ...] = ()

    @classmethod
    def find(cls, path: Path) -> OutFolder | None:
        """Return the folder at `path` if a run claimed it, by a marker or (version 0.1) by its shards; else None."""
        try:
            marker = strict_json.parse_object(read_regular(path / MARKER, strict_json.MOST_BYTES))
            if re.fullmatch(r"[0-9a-f]{32}", marker["id"]) and isinstance(marker["folders"], list):
                return cls(path, marker["id"], tuple(name for name in marker["folders"] if name in FOLDERS))
        except (OSError, ValueError, KeyError, TypeError):
            pass
        if not _has_shards(path / "manifest") and not _has_shards(path / "scores"):
            return None
        return cls(path, uuid.uuid4().hex, tuple(name for name in FOLDERS if (path / name).is_dir()))

    @classmethod
    def of(cls, path: Path) -> OutFolder:
        """Return the folder at `path`, whether or not it has been claimed."""
        return cls.find(path) or cls(path, uuid.uuid4().hex)

    @classmethod
    def check(cls, path: Path, maps: bool) -> None:
        """Raise UserError if a file or folder of the user is where the table, or the maps, would be written."""
        known = cls.find(path)
        for name in [*_written(maps), *FILES] if known is None else set(_written(maps)) - set(known.folders):
            target = path / name
            if os.path.lexists(target) and not _is_empty_folder(target):
                raise UserError(
                    f"{target} already exists and was not made by `r2mrf score`: nothing is written; move it away, or "
                    "choose another --out"
                )

    @classmethod
    def claim(cls, path: Path, maps: bool) -> OutFolder:
        """Claim `path` with a marker, and clean up what a killed run was writing.

        A folder that contains files of the user is accepted as well, as long as `check` allows it.
        """
        cls.check(path, maps)
        known = cls.find(path)
        folders = dict.fromkeys([*(known.folders if known else ()), *_written(maps), "thumbnails"])
        folder = cls(path, known.identity if known else uuid.uuid4().hex, tuple(folders))
        shutil.rmtree(folder.scratch, ignore_errors=True)
        for name in (*_written(maps), folder.scratch.name):
            (path / name).mkdir(parents=True, exist_ok=True)
        if known != folder or not (path / MARKER).exists():
            with atomic_file(path / MARKER) as temporary:
                marker = {"made_by": "r2mrf score", "id": folder.identity, "folders": list(folder.folders)}
                temporary.write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
        return folder

    @property
    def scratch(self) -> Path:
        """The folder for files that are being written."""
        return self.path / f".r2mrf-{self.identity}"

    def is_ours(self, folder: str, name: str) -> bool:
        """Return whether a file in a sub-folder is a picture that this program made."""
        return folder in self.folders and folder in PICTURES and bool(re.fullmatch(PICTURES[folder], name))

    @contextmanager
    def writing(self, folder: str, name: str) -> Iterator[Path]:
        """Yield a file to write to; at the end it is flushed to disk and moved into the sub-folder as a whole.

        Raises:
            UserError: the file cannot be written.
        """
        target = self.path / folder / name
        temporary = self.scratch / uuid.uuid4().hex
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            flush(temporary)
            temporary.replace(target)
        except OSError as error:
            why = error.strerror or error
            raise UserError(f"{target}: cannot be written ({why}): fix that, or choose another place") from None
        finally:
            temporary.unlink(missing_ok=True)


def is_of_a_run(path: Path, out: Path) -> bool:
    """Return whether a path is, or is in, something that scoring into the folder `out` writes, except for its page."""
    names = {MARKER, *FOLDERS, *FILES} - {"report.html"}
    return path.is_relative_to(out) and path != out and path.relative_to(out).parts[0] in names


def flush(file: Path) -> None:
    """Make the system write a file to its disk now, so that it survives a power failure."""
    number = os.open(file, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _written(maps: bool) -> list[str]:
    """Return the sub-folders that a run writes to."""
    return ["manifest", "scores", *(["maps"] if maps else [])]


def _has_shards(manifest: Path) -> bool:
    return any(re.fullmatch(r"shard-\d{5,}-[0-9a-f]{16}\.parquet", file.name) for file in manifest.glob("shard-*"))


def _is_empty_folder(path: Path) -> bool:
    try:
        with os.scandir(path) as entries:
            return not any(entries)
    except OSError:
        return False
