"""States of unfinished training runs: a folder of this machine's, or s3://bucket/prefix for a cluster.

    home = States("runs", "train-0123")
    home.recover()      # a whole state that Ray's list of checkpoints has lost, or None
    home.remove()       # at the end of the run

Ray Train writes each checkpoint into a folder of its own and then lists it in a file; that file is written in
place, so that what is killed in that moment leaves half a list, which Ray refuses to start from.
"""

from __future__ import annotations

import hashlib
import json

from pyarrow.fs import FileSelector, FileType

from pipelines.addresses import absolute, file_system
from r2mrf.trainer import FACTS, TENSORS

LIST = "checkpoint_manager_snapshot.json"


class States:
    """The states of the run `name` below `storage`, a path or an address that pyarrow knows.

    Attributes:
        storage: absolute path or address, for Ray Train.
        files, root: the same as a file system and a path in it, for Ray Tune.

    Raises:
        UserError: there is no such storage.
    """

    def __init__(self, storage: str, name: str):
        self.storage = absolute(storage)
        self.name = name
        self.files, self.root = file_system(self.storage, "tracking.states")
        self._folder = f"{self.root}/{name}"

    def others(self) -> list[str]:
        """Names of other runs whose states lie here."""
        entries = self.files.get_file_info(FileSelector(self.root, allow_not_found=True))
        names = (entry.base_name for entry in entries if entry.type == FileType.Directory)
        return sorted(name for name in names if name.startswith("train-") and name != self.name)

    def recover(self) -> str | None:
        """If the list of checkpoints is damaged, remove it; path of the last whole state that it must have held.

        None where the list is sound, or where there is nothing to go on from.
        """
        entry = self.files.get_file_info(f"{self._folder}/{LIST}")
        if entry.type == FileType.NotFound:
            return None
        try:
            json.loads(self._read(entry.path))
            return None
        except ValueError:
            self.files.delete_file(entry.path)
        folders = self.files.get_file_info(FileSelector(self._folder))
        newest = sorted((f.path for f in folders if f.base_name.startswith("checkpoint_")), reverse=True)
        return next((path for path in newest if self._is_whole(path)), None)

    def remove(self) -> None:
        """Delete the run's states, if any are left."""
        if self.files.get_file_info(self._folder).type != FileType.NotFound:
            self.files.delete_dir(self._folder)

    def _is_whole(self, path: str) -> bool:
        try:
            facts = json.loads(self._read(f"{path}/{FACTS}"))
            return hashlib.sha256(self._read(f"{path}/{TENSORS}")).hexdigest() == facts["tensors_sha256"]
        except (FileNotFoundError, ValueError):
            return False

    def _read(self, path: str) -> bytes:
        with self.files.open_input_stream(path) as file:
            return file.read()
