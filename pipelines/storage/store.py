"""Files below an address: a folder that all machines of a cluster see, or s3://bucket/prefix.

store = Store("s3://bucket/prefix")
with store.writing("name") as path: ...     # a local file, which is moved to the store at the end
store.fetch("name", Path("here"))
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow.fs import FileSelector, FileType, LocalFileSystem

from pipelines.storage.addresses import absolute, file_system
from r2mrf.errors import UserError, one_line
from r2mrf.system.atomic import atomic_file


class Store:
    """Files below an address.

    Attributes:
        address: a path or s3://…, in a form that Ray Train and pyarrow accept.

    Raises:
        UserError: there is no such storage; from any method but `open`: it cannot be reached.
    """

    def __init__(self, address: str):
        self.address = absolute(address)
        self._files, self._root = file_system(self.address, "storage")

    def names(self) -> set[str]:
        """Return the names of all files at any depth, relative to the address."""
        with self._reached("files below it cannot be listed"):
            found = self._files.get_file_info(FileSelector(self._root, recursive=True, allow_not_found=True))
        return {file.path.removeprefix(f"{self._root}/") for file in found if file.type == FileType.File}

    def open(self, name: str) -> pa.NativeFile:
        """Open a file for random access.

        Raises:
            OSError: the file is missing or cannot be reached.
        """
        return self._files.open_input_file(f"{self._root}/{name}")

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file to this machine, completely or not at all."""
        with self._reached(f"{name} cannot be read"):
            try:
                source = self._files.open_input_stream(f"{self._root}/{name}")
            except FileNotFoundError:
                raise UserError(f"{self.address}: {name} is gone: run the stage again that made it") from None
            with source, atomic_file(target) as path, path.open("wb") as out:
                shutil.copyfileobj(source, out, 2**20)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a local file to write to; at the end it is moved to the store as a whole."""
        if isinstance(self._files, LocalFileSystem):
            with atomic_file(Path(self._root) / name) as path:
                yield path
            return
        with tempfile.TemporaryDirectory() as scratch:
            yield (path := Path(scratch) / "file")
            with (
                self._reached(f"{name} cannot be written"),
                self._files.open_output_stream(f"{self._root}/{name}") as out,  # the file appears when this is closed
            ):
                out.write(path.read_bytes())

    @contextmanager
    def _reached(self, refusal: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = one_line(error)
            raise UserError(f"{self.address}: {refusal} ({why}): fix that and run again") from None


def below(storage: str, *names: str) -> str:
    """Return the address of something in a storage; the part after a question mark stays at the end."""
    base, mark, options = storage.partition("?")
    return "/".join([base.rstrip("/"), *names]) + mark + options
