"""Reads files at addresses: s3://bucket/key, gs://…, https://…, and whatever else pyarrow or fsspec supports.

    addresses = Addresses(["s3://bucket/photos?endpoint_override=localhost:9000&scheme=http"])
    data = addresses.read("s3://bucket/photos/a.jpg")

The part after `?` in a user's address says how to reach it and may contain keys. It is used for reading but is never
written to a table. Only the servers and buckets of such addresses are read, and those that are allowed by name.
"""

from __future__ import annotations

import functools
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from pyarrow import NativeFile
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem, PyFileSystem

from pipelines.storage import http, time_limit
from pipelines.storage.clients import FAILURES, cause, client, refusal
from pipelines.storage.content import content
from pipelines.storage.fetcher import Fetcher
from r2mrf.errors import UserError
from r2mrf.imaging.images import ImageError, read_bytes
from r2mrf.system.address import BUCKETS, Address, is_address
from r2mrf.system.regular_files import check_regular

SECONDS = 60.0  # time limit for fetching a photo
MOST_HANGING = 16  # requests of this process that were given up while their client still waits
DEAD_AFTER, DEAD_FOR = 3, 60.0  # failures in a row after which a server is not asked again; for how many seconds
# Messages of clients about a missing server or bucket, as opposed to a missing or forbidden file.
_UNREACHABLE = re.compile(
    r"(?i)connect|resolve|timed? ?out|network|unreachable|no such ?bucket|does not answer|disconnected|retry|curl"
)
_IN_CHILD = BUCKETS - {"memory"}  # their clients cannot be interrupted
# With any other character in it, a client may read another host than the one that was checked: evil.org#.example.org
_HOST = re.compile(r"[\w.:\[\]-]+")
T = TypeVar("T")


def absolute(location: str) -> str:
    """Return a local path in absolute form, valid wherever a worker runs; an address stays as it is."""
    return location if is_address(location) else str(Path(location).resolve())


def without_secrets(location: str) -> str:
    """Return a path, or an address in a form that is safe to show."""
    return Address.parse(location).bare if is_address(location) else location


def as_local(location: str) -> str:
    """Return the path of an address file:///PATH, where a space may be written as %20; else `location` itself."""
    if not is_address(location) or (address := Address.parse(location)).scheme != "file":
        return location
    if address.host not in ("", "localhost"):
        return location
    path = "/" + location.partition("://")[2].partition("/")[2]
    # not Path.exists, which raises an error for a name that is too long and for a folder that is closed to us
    return path if os.path.exists(path) else unquote(path, errors="surrogateescape")  # noqa: PTH110


def file_system(location: str, key: str) -> tuple[FileSystem, str]:
    """Return the file system, and the path in it, of a folder or address that the parameter `key` gives.

    Raises:
        UserError: there is no such storage.
    """
    try:
        return FileSystem.from_uri(absolute(location))
    except FAILURES as error:
        shown, why = (
            without_secrets(location),
            Address.parse(location).redact(str(error)) if is_address(location) else error,
        )
        raise UserError(f"{key} {shown}: {why}: give a folder, or an address like s3://bucket/prefix") from None


class Addresses:
    """Reads local files by path, and files at addresses on the servers and buckets of `sources`, each as its source
    says, and on those that are allowed.

    Args:
        allowed: patterns of servers and buckets, like https://example.org, https://*.example.org or s3://*.
        seconds: time limit for fetching a file.
    """

    def __init__(self, sources: Iterable[str] = (), allowed: Iterable[str] = (), seconds: float = SECONDS):
        self.allowed, self.seconds = tuple(pattern.rstrip("/") for pattern in allowed), seconds
        self._sources = tuple(Address.parse(source) for source in sources if is_address(source))
        self._permits = functools.partial(_permits, frozenset(a.root for a in self._sources), self.allowed)
        self._systems = {address.root: client(address, self._permits) for address in self._sources}
        self._failures: dict[str, tuple[int, float]] = {}  # by server: failures in a row, and the time of the last one
        self._answered: set[str] = set()  # servers that have sent a file

    def has_credentials_for(self, address: str) -> bool:
        """Return whether one of the sources is in the bucket of this address."""
        return Address.parse(address).root in self._systems

    def check(self, address: Address) -> None:
        """Raise ImageError if neither a source nor `allowed` names the server or bucket of this address."""
        if not self._permits(address):
            raise ImageError("not_allowed", f"--allow {address.root} would permit reading from there")

    def read(self, name: str) -> bytes:
        """Return the content of a file, at most `MAX_BYTES`; from an address within `seconds`.

        Raises:
            ImageError: unreadable, unreachable, not_allowed, not_a_file, empty, too_large or timeout.
        """
        if not is_address(name):
            return read_bytes(name)
        address = Address.parse(name)
        data = self._asked_in_time(address, functools.partial(_content, address=address), self.seconds)
        if not data:
            raise ImageError("empty")
        return data

    def read_by(self, name: str, work: Callable[[Addresses], T]) -> T:
        """Return `work(addresses)`, which reads from the file at `name`; from an address within ten times `seconds`.

        Args:
            work: can be pickled, as its result and its errors can; for a bucket it runs in a child process.

        Raises:
            ImageError: unreachable, not_allowed or timeout.
            Exception: what `work` raises.
        """
        return self._asked_in_time(Address.parse(name), work, 10 * self.seconds) if is_address(name) else work(self)

    def open(self, source: str) -> NativeFile:
        """Open a file for random access.

        Raises:
            OSError: a local file cannot be opened, or is not a regular file: a pipe would never answer.
            UserError: a file at an address cannot be opened.
        """
        if not is_address(source):
            check_regular(source)
        return self._asked(source, lambda system, path: system.open_input_file(path))

    def facts(self, source: str) -> FileInfo:
        """Return kind, size and time of a file or folder. Raises UserError if it is missing or cannot be reached."""
        entry = self._asked(source, lambda system, path: system.get_file_info(path))
        if entry.type == FileType.NotFound:
            or_moved = (
                ", or it is redirected to a server that --allow does not name" if source.startswith("http") else ""
            )
            raise UserError(f"{without_secrets(source)}: no such file or folder there{or_moved}: check the address")
        return entry

    def walk(self, source: str) -> Iterator[tuple[str, FileInfo]]:
        """Yield (address, facts) of all files below a folder, in the order of their addresses.

        Raises:
            UserError: a folder cannot be listed.
        """
        top = without_secrets(source).rstrip("/")
        system, path = self._find(Address.parse(top))
        waiting = [(top, FileInfo(path, FileType.Directory))]
        while waiting:
            address, entry = waiting.pop()
            if entry.type != FileType.Directory:
                yield address, entry
                continue
            try:
                found = system.get_file_info(FileSelector(entry.path))
            except Exception as error:
                raise UserError(refusal(Address.parse(source), error)) from None
            named = [(f"{address}/{f.base_name}", f) for f in found]
            waiting += sorted(named, key=_sort_key, reverse=True)  # the first entry is popped first

    def _asked(self, source: str, ask: Callable[[FileSystem, str], T]) -> T:
        if not is_address(source):
            return ask(LocalFileSystem(), source)
        address = Address.parse(source)
        try:
            system, path = self._find(address)
            return ask(system, address.bare.partition("://")[2] if address.scheme in BUCKETS else path)
        except UserError:
            raise
        except Exception as error:
            raise UserError(refusal(address, error)) from None

    def _asked_in_time(self, address: Address, work: Callable[[Addresses], T], seconds: float) -> T:
        """Return `work(addresses)`, or raise ImageError; a server that did not answer often is not asked again."""
        self.check(address)
        failures, when = self._failures.get(address.root, (0, 0.0))
        if failures >= DEAD_AFTER and time.monotonic() < when + DEAD_FOR:
            raise ImageError("unreachable", f"{address.root} did not answer {failures} times in a row")
        if (failures or address.root not in self._answered) and time_limit.hanging() >= MOST_HANGING:
            raise ImageError("unreachable", f"{MOST_HANGING} requests to servers that do not answer still hang")
        try:
            answer = self._in_time(address, work, seconds)
        except ImageError as error:
            if error.reason in ("unreachable", "timeout"):
                self._failures[address.root] = failures + 1, time.monotonic()
            raise
        self._failures.pop(address.root, None)
        self._answered.add(address.root)
        return answer

    def _in_time(self, address: Address, work: Callable[[Addresses], T], seconds: float) -> T:
        """Return `work(addresses)`; a client that hangs is ended, or left behind in its thread."""
        try:
            if address.scheme in _IN_CHILD:
                with _ONE_AT_A_TIME:
                    ask = _child(self._sources, self.seconds)
                return ask(work, seconds + 5)
            return time_limit.within(seconds + 5, lambda: work(self))  # the client's own limit comes first
        except TimeoutError:
            raise ImageError("timeout", f"not fetched in {seconds:g} seconds") from None
        except ChildProcessError as error:
            raise ImageError("unreachable", str(error)) from None

    def _find(self, address: Address) -> tuple[FileSystem, str]:
        if address.root not in self._systems:
            self._systems[address.root] = client(Address(address.scheme, address.host, ""), self._permits)
        system = self._systems[address.root]
        if isinstance(system, PyFileSystem):
            return system, system.handler.fs._strip_protocol(address.reveal())
        return system, address.key


def _permits(roots: frozenset[str], allowed: tuple[str, ...], address: Address) -> bool:
    """Return whether a server or bucket is one of the `roots`, or named by a pattern in `allowed`."""
    by_name = _HOST.fullmatch(address.host) and any(fnmatchcase(address.root, pattern) for pattern in allowed)
    return address.root in roots or bool(by_name)


def _content(places: Addresses, address: Address) -> bytes:
    try:
        if address.scheme in ("http", "https"):
            return http.fetch(address, places.seconds, places.check)
        return content(*places._find(address), places.seconds)
    except ImageError:
        raise
    except Exception as error:
        raise failure(address, error) from None


def failure(address: Address, error: Exception) -> ImageError:
    """Return the error of a photo at an address, from what a client raised: unreachable or unreadable."""
    said = f"{type(error).__name__} {error}"
    return ImageError("unreachable" if _UNREACHABLE.search(said) else "unreadable", cause(address, error))


@functools.cache
def _child(sources: tuple[Address, ...], seconds: float) -> Fetcher:
    """Return this process's child that reads buckets as these sources say."""
    return Fetcher(functools.partial(_work_in_child, sources, seconds))


def _work_in_child(sources: tuple[Address, ...], seconds: float, work: Callable[[Addresses], T]) -> T:
    with _ONE_AT_A_TIME:
        places = _in_child(sources, seconds)
    return work(places)


@functools.cache
def _in_child(sources: tuple[Address, ...], seconds: float) -> Addresses:
    return Addresses([address.reveal() for address in sources], seconds=seconds)


_ONE_AT_A_TIME = threading.Lock()


def _sort_key(named: tuple[str, FileInfo]) -> str:
    address, entry = named
    return f"{address}/" if entry.type == FileType.Directory else address
