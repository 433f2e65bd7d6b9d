"""Lists the photos of a library: folders, single photos, lists and tables, on this machine or at an address.

    for photo in Library(["/archive", "s3://bucket/photos", "chosen.parquet"]).photos(): ...

Nothing waits for the whole list. Folders are walked in the order of their paths, and the first photos are scored while
ten million others are still being listed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path, PurePosixPath

from pyarrow.fs import FileType

from pipelines.library import lists
from pipelines.library.out_folder import MARKER, OutFolder
from pipelines.library.photo import Photo, local_photo, remote_photo, to_text
from pipelines.library.selection import BESIDE, IGNORE_FILE, IgnoreFiles, Selection, raws_beside_jpegs
from pipelines.storage.addresses import Addresses, as_local, without_secrets
from r2mrf.config import Score
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.system.address import BUCKETS, Address, is_address


class NoPhotos(UserError):
    """A source that contains no photo."""


class Library:
    """A user's library: photos from any number of sources.

    Args:
        sources: paths or addresses of folders (all photos below), photos, lists of paths (.txt), or tables (.csv,
            .parquet) of paths or of image bytes. Pictures that scoring runs wrote are skipped.

    Attributes:
        names: names of the sources, safe to show.

    Raises:
        UserError: a source does not exist, cannot be read, or contains no photo.
    """

    def __init__(self, sources: list[str], options: Score = Score()):  # noqa: B008  (it is frozen)
        sources = [as_local(source) for source in sources]
        self.addresses = Addresses(sources, options.allow, options.seconds)
        self.selection = Selection(options.include, options.exclude)
        self._sources = [source if is_address(source) else _absolute(source) for source in sources]
        self.names = [without_secrets(source) for source in self._sources]
        self._listings = [_begun(source, self._photos(source), self.selection) for source in sources]

    def photos(self) -> Iterator[Photo]:
        """Yield all photos, each once; those of a source come in the order of their paths. May be called only once."""
        if len(self._listings) == 1:
            yield from self._listings[0]
            return
        seen: set[str] = set()  # sources may overlap
        for photo in chain.from_iterable(self._listings):
            if photo.path not in seen:
                seen.add(photo.path)
                yield photo

    @property
    def folders(self) -> list[str]:
        """The sources that are local folders."""
        return [source.rstrip("/") for source in self._sources if not is_address(source) and Path(source).is_dir()]

    def check(self, unreadable: Iterable[str] = (), read: Iterable[str] = ()) -> None:
        """Check whether photos are missing because their whole source is, for example an unmounted disk.

        Args:
            unreadable: paths of photos that could not be read. A list or table may name photos on several disks.
            read: paths of photos that could be read, which shows that their folders exist.

        Raises:
            UserError: a source has vanished, or the folder of unreadable photos has.
        """
        for name in self._sources:
            if is_address(name):
                self.addresses.facts(name)
            elif is_empty_or_gone(name):
                raise _gone(name)
        lost, there = ({nearest_folder(path) for path in paths if not is_address(path)} for paths in (unreadable, read))
        for name in lost - there:
            if is_empty_or_gone(name):
                raise _gone(name)

    def _photos(self, source: str) -> Iterator[Photo]:
        if is_address(source):
            yield from self._at_address(source)
            return
        path = Path(source)
        if path.is_dir():
            yield from self._walk(_absolute(source))
        elif not path.exists():
            raise UserError(
                f"{source}: no such folder or file: give a folder of photos, a photo, a list of paths (.txt), "
                "a table of paths (.csv, .parquet), or an address like s3://bucket/photos"
            )
        elif path.suffix.lower() in lists.SUFFIXES:
            yield from lists.photos(source, self.addresses)
        else:
            yield local_photo(_absolute(source))

    def _at_address(self, source: str) -> Iterator[Photo]:
        facts = self.addresses.facts(source)
        if facts.type == FileType.Directory:
            found = (remote_photo(address, facts) for address, facts in self.addresses.walk(source))
            yield from self._selected(without_secrets(source).rstrip("/"), found)
        elif PurePosixPath(without_secrets(source)).suffix.lower() in lists.SUFFIXES:
            yield from lists.photos(source, self.addresses)
        else:
            is_in_bucket = Address.parse(source).scheme in BUCKETS  # for buckets, the query only says how to reach them
            yield remote_photo(without_secrets(source) if is_in_bucket else source, facts)

    def _selected(self, top: str, found: Iterable[Photo]) -> Iterator[Photo]:
        """Yield the photos in a bucket that are selected; ignore files in buckets are not read."""
        entered, ignored = dict[str, bool](), IgnoreFiles()
        for photo in found:
            below = photo.path[len(top) + 1 :]
            parts, takes = below.split("/"), True
            for folder in ("/".join(parts[:depth]) for depth in range(1, len(parts))):
                if folder not in entered:
                    entered[folder] = self.selection.takes_folder(f"{top}/{folder}", folder, ignored)
                if not (takes := entered[folder]):
                    break
            if takes and self.selection.takes_file(photo.path, below, ignored, local=False):
                yield photo

    def _walk(self, top: str) -> Iterator[Photo]:
        """Yield the photos below a folder. Links to files are followed, links to folders not: they may form loops."""
        top = top.rstrip("/")
        waiting, written, ignored = [(top or "/", True)], dict[str, OutFolder | None](), IgnoreFiles()
        partners = dict[str, str]()  # of JPEGs that wait
        while waiting:
            path, is_folder = waiting.pop()
            if not is_folder:
                yield local_photo(path)._replace(partner=partners.pop(path, None))
                continue
            try:
                with os.scandir(path) as entries:
                    found = {entry.name: (entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries}
            except OSError:
                yield local_photo(path)  # listed, so that the missing photos are reported
                continue
            if found.keys() & {MARKER, "manifest"}:
                written[path] = OutFolder.find(Path(path))
            above, _, name = path.rpartition("/")
            run = written.get(above)
            ignored.enter(path, IGNORE_FILE in found)
            files = [name for name, (_, is_folder) in found.items() if not is_folder]
            pairs = raws_beside_jpegs(path, files)
            kept = []
            for entry_name, (entry, is_folder) in found.items():
                if entry_name.startswith(".r2mrf-") or (run and run.is_ours(name, entry_name)):
                    continue
                takes = self.selection.takes_folder if is_folder else self.selection.takes_file
                if takes(entry, entry[len(top) + 1 :], ignored):
                    kept.append((entry, is_folder))
            taken = {entry for entry, _ in kept}
            beside = {found[raw][0]: found[jpeg][0] for raw, jpeg in pairs.items()}
            beside = {raw: jpeg for raw, jpeg in beside.items() if {raw, jpeg} <= taken}
            for raw, jpeg in beside.items():
                partners.setdefault(jpeg, to_text(raw))
                self.selection.left_out[BESIDE] += 1
            kept = [entry for entry in kept if entry[0] not in beside]
            waiting += sorted(kept, key=_sort_key, reverse=True)  # the first entry is popped first


def _begun(source: str, listing: Iterator[Photo], selection: Selection) -> Iterator[Photo]:
    """Return the listing, after making sure that it has at least one photo."""
    first = next(listing, None)
    if first is None:
        looked_for = f"looked for {', '.join(sorted(images.SUFFIXES))}"
        left_out = f"; left out: {selection.sentence()}" if selection.left_out else ""
        raise NoPhotos(f"{without_secrets(source)}: contains no photo ({looked_for}{left_out})")
    return chain([first], listing)


def _sort_key(entry: tuple[str, bool]) -> str:
    """Return the sort key of a folder's entry with which all paths below the folder come out in order."""
    path, is_folder = entry
    return f"{path}/" if is_folder else path


def nearest_folder(path: str) -> str:
    """Return the folder in which a photo should be, or the nearest existing folder above it."""
    return str(next(folder for folder in Path(path).parents if not is_missing(folder)))


def is_missing(path: Path, follow_symlinks: bool = True) -> bool:
    """Return whether a path surely does not exist; without `follow_symlinks`, a link to nothing does exist."""
    try:
        path.stat(follow_symlinks=follow_symlinks)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # it exists but may not be read, or its disk does not answer
        return False
    return False


def is_empty_or_gone(name: str) -> bool:
    """Return whether a path is gone or is an empty folder, which is what an unmounted disk leaves behind."""
    try:
        with os.scandir(name) as entries:
            return not any(entries)
    except (NotADirectoryError, PermissionError):
        return False
    except OSError:
        return True


def _gone(name: str) -> UserError:
    return UserError(
        f"{name} is gone or empty: restore it, and run the same command again to resume; if it is meant to be "
        "empty, remove it"
    )


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100  (links are not resolved)
