"""Files by path or by address: s3://bucket/key, gs://…, and what else pyarrow or fsspec knows.

    places = Addresses(["s3://bucket/photos?endpoint_override=localhost:9000&scheme=http"])
    data = places.read("s3://bucket/photos/a.jpg")

What follows `?` in an address given by the user says how to reach it and may hold keys: it is kept for reading,
and stands in no table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyarrow import ArrowException, NativeFile
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, FSSpecHandler, PyFileSystem

from r2mrf.errors import UserError, one_line
from r2mrf.imaging.images import MAX_BYTES, ImageError

ADDRESS = r"^[a-z][a-z0-9+.-]*://"
FAILURES = (OSError, ValueError, ArrowException)  # what pyarrow raises; clients behind fsspec raise all sorts


def is_address(name: str) -> bool:
    """Whether a source or path is an address, not a path of this machine."""
    return re.match(ADDRESS, name) is not None


def absolute(place: str) -> str:
    """A path of this machine as it is meant wherever a worker runs; an address stays as it is."""
    return place if is_address(place) else str(Path(place).resolve())


def shown(address: str) -> str:
    """An address without what may be secret in it."""
    return re.sub(r"^([a-z0-9+.-]+://)[^/@]*@", r"\1", address.partition("?")[0])


def file_system(place: str, key: str) -> tuple[FileSystem, str]:
    """File system and path in it for a folder or address that the parameter `key` gives.

    Raises:
        UserError: there is no such storage.
    """
    try:
        return FileSystem.from_uri(absolute(place))
    except FAILURES as error:
        raise UserError(f"{key} {place}: {error}; give a folder, or an address like s3://bucket/prefix") from None


class Addresses:
    """Reads addresses; those in a bucket that one of `sources` names are reached as that source says."""

    def __init__(self, sources: Iterable[str] = ()):
        self._systems = {root(source): _system(source) for source in sources if is_address(source)}

    def has_credentials_for(self, address: str) -> bool:
        """Whether one of the sources is in the bucket of this address."""
        return root(address) in self._systems

    def read(self, address: str) -> bytes:
        """Content of a file, by an address as `walk` gives them.

        Raises:
            ImageError: unreadable, not_a_file, empty or too_large.
        """
        try:
            system, path = self._find(address)
            data = _streamed(system, path) if isinstance(system, PyFileSystem) else _at_once(system, path)
        except ImageError:
            raise
        except Exception as error:
            raise ImageError("unreadable", _cause(error)) from None
        if not data:
            raise ImageError("empty")
        return data

    def open(self, source: str) -> NativeFile:
        """A file for random access. Raises UserError if it cannot be opened."""
        try:
            system, path = self._find(shown(source))
            return system.open_input_file(path)
        except Exception as error:
            raise UserError(_refusal(source, error)) from None

    def facts(self, source: str) -> FileInfo:
        """Kind, size and time of what lies there. Raises UserError if nothing does, or it cannot be reached."""
        entry = self.ask(source)
        if entry.type == FileType.NotFound:
            raise UserError(f"{shown(source)}: no such file or folder there; check the address")
        return entry

    def ask(self, source: str) -> FileInfo:
        """`facts`, but no error if nothing lies there. Raises UserError if it cannot be reached."""
        try:
            system, path = self._find(shown(source))
            return system.get_file_info(path)
        except Exception as error:
            raise UserError(_refusal(source, error)) from None

    def walk(self, source: str) -> Iterator[tuple[str, FileInfo]]:
        """(address, facts) of all files below a folder, in the order of their addresses.

        Raises:
            UserError: a folder cannot be listed.
        """
        top = shown(source).rstrip("/")
        system, path = self._find(top)
        waiting = [(top, FileInfo(path, FileType.Directory))]
        while waiting:
            address, entry = waiting.pop()
            if entry.type != FileType.Directory:
                yield address, entry
                continue
            try:
                found = system.get_file_info(FileSelector(entry.path))
            except Exception as error:
                raise UserError(_refusal(address, error)) from None
            named = [(f"{address}/{f.base_name}", f) for f in found]
            waiting += sorted(named, key=_place, reverse=True)  # the first one is taken first

    def _find(self, address: str) -> tuple[FileSystem, str]:
        if (bucket := root(address)) not in self._systems:
            self._systems[bucket] = _system(bucket)
        system = self._systems[bucket]
        if isinstance(system, PyFileSystem):
            return system, system.handler.fs._strip_protocol(address)
        return system, address.partition("://")[2]


def _place(named: tuple[str, FileInfo]) -> str:
    address, entry = named
    return f"{address}/" if entry.type == FileType.Directory else address


def root(address: str) -> str:
    """The bucket, or server, of an address."""
    scheme, _, rest = shown(address).partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _at_once(system: FileSystem, path: str) -> bytes:
    """Read a file with two requests, for size and content; a stream would make one for every small piece."""
    try:
        file = system.open_input_file(path)
    except Exception:
        if system.get_file_info(path).type == FileType.Directory:
            raise ImageError("not_a_file") from None
        raise
    with file:
        _check(file.size())
        return file.read()


def _streamed(system: FileSystem, path: str) -> bytes:
    """From servers too that send no parts of files."""
    entry = system.get_file_info(path)
    if entry.type == FileType.Directory:
        raise ImageError("not_a_file")
    _check(entry.size or 0)
    with system.open_input_stream(path) as file:
        return file.read()


def _check(size: int) -> None:
    if size > MAX_BYTES:
        raise ImageError("too_large", f"{size:,} bytes; at most {MAX_BYTES:,} are read")


def _system(source: str) -> FileSystem:
    """File system of a source: pyarrow's own, else fsspec's."""
    scheme, _, rest = source.partition("://")
    place, _, options = rest.partition("?")
    try:
        return FileSystem.from_uri(f"{scheme}://{place.partition('/')[0]}/?{options}")[0]
    except FAILURES as error:
        if "unrecognized filesystem type" not in str(error).lower():
            raise UserError(_refusal(source, error)) from None
    try:
        import fsspec

        return PyFileSystem(FSSpecHandler(fsspec.filesystem(scheme)))
    except (ImportError, *FAILURES) as error:
        raise UserError(_refusal(source, error)) from None


def _refusal(address: str, error: Exception) -> str:
    return f"{shown(address)}: cannot be reached ({_cause(error)}); check the address, and the keys in the environment"


def _cause(error: Exception) -> str:
    return one_line(error) or type(error).__name__
