"""The photos of a library, one after the other: folders, single photos, lists, tables, here or at an address.

    for photo in Library(["/archive", "s3://bucket/photos", "chosen.parquet"]).photos(): ...

Nothing waits for the whole list: folders are walked in the order of their paths, and ten million photos are
still being listed while the first of them are scored.
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


class Library:
    """A user's library: photos from any number of sources.

    Args:
        sources: folders (all photos below), photos, lists of paths (.txt), tables (.csv, .parquet) with a column of
            paths or of image bytes; each a path or an address. The pictures that scoring runs wrote are passed over.

    Attributes:
        names: of the sources, fit to be shown.

    Raises:
        UserError: a source does not exist, cannot be read, or holds no photo.
    """

    def __init__(self, sources: list[str], options: Score = Score()):  # noqa: B008  (it is frozen)
        sources = [as_local(source) for source in sources]
        self.addresses = Addresses(sources, options.allow, options.seconds)
        self.selection = Selection(options.include, options.exclude)
        self._sources = [source if is_address(source) else _absolute(source) for source in sources]
        self.names = [without_secrets(source) for source in self._sources]
        self._listings = [_begun(source, self._photos(source), self.selection) for source in sources]

    def photos(self) -> Iterator[Photo]:
        """All photos, each once, those of a source in the order of their paths. To be called once."""
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
        """The sources that are folders of this machine."""
        return [source.rstrip("/") for source in self._sources if not is_address(source) and Path(source).is_dir()]

    def check(self, unreadable: Iterable[str] = (), read: Iterable[str] = ()) -> None:
        """Tell missing photos from a missing source, such as an unmounted disk.

        Args:
            unreadable: paths of such photos. A list or table may name them on other disks than its own.
            read: of others, which could be read; where they lie is there.

        Raises:
            UserError: a source has vanished, or where the unreadable ones lie.
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
                f"{source}: no such folder or file; give a folder of photos, a photo, a list of paths (.txt), "
                "a table of them (.csv, .parquet), or an address like s3://bucket/photos"
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
            is_in_bucket = Address.parse(source).scheme in BUCKETS  # where a query says how to reach it
            yield remote_photo(without_secrets(source) if is_in_bucket else source, facts)

    def _selected(self, top: str, found: Iterable[Photo]) -> Iterator[Photo]:
        """Photos in a bucket that are taken; ignore files there are not read."""
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
        """Links to files are followed, links to folders are not: they may lead in a ring."""
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
                yield local_photo(path)  # listed, so that it is told that its photos are missing
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
            waiting += sorted(kept, key=_place, reverse=True)  # the first one is taken first


def _begun(source: str, listing: Iterator[Photo], selection: Selection) -> Iterator[Photo]:
    """The listing, of which the first photo is known to be there."""
    first = next(listing, None)
    if first is None:
        looked_for = f"looked for {', '.join(sorted(images.SUFFIXES))}"
        left_out = f"; left out: {selection.sentence()}" if selection.left_out else ""
        raise UserError(f"{without_secrets(source)}: no photo in it ({looked_for}{left_out})")
    return chain([first], listing)


def _place(entry: tuple[str, bool]) -> str:
    """By which entries of a folder are sorted, so that all paths below it come in their order."""
    path, is_folder = entry
    return f"{path}/" if is_folder else path


def nearest_folder(path: str) -> str:
    """The folder in which a photo should lie, or the nearest one above that is there."""
    return str(next(folder for folder in Path(path).parents if not _is_missing(folder)))


def _is_missing(folder: Path) -> bool:
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # it is there, and may not be looked at, or its disk does not answer
        return False
    return False


def is_empty_or_gone(name: str) -> bool:
    """Whether nothing is there any more, or a folder without anything in it: where a disk was, there is one."""
    try:
        with os.scandir(name) as entries:
            return not any(entries)
    except (NotADirectoryError, PermissionError):
        return False
    except OSError:
        return True


def _gone(name: str) -> UserError:
    return UserError(
        f"{name} is gone, or empty: bring back what was there, and the same command goes on from here; if it is to be "
        "empty, remove it"
    )


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100  (links stay as they are named)
