"""States of unfinished training runs: in a local folder, or at s3://bucket/prefix for a cluster.

    home = States("runs", "train-0123")
    home.recover()      # a complete state that Ray cannot find by itself, or None
    home.remove()       # at the end of the run

Ray Train copies each checkpoint into a folder and then lists it in a file, both in place. A kill or power failure at
that moment leaves half a list or half a state, and Ray then refuses to start, or starts from the damaged state.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, copy_files

from pipelines.storage.addresses import absolute, file_system
from r2mrf.system import strict_json
from r2mrf.training.trainer import FACTS, TENSORS, facts_from_text

LIST = "checkpoint_manager_snapshot.json"


class States:
    """The states of the run `name` below `storage`, a path or an address that pyarrow supports.

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
        """Return the names of other runs whose states are in this storage."""
        entries = self.files.get_file_info(FileSelector(self.root, allow_not_found=True))
        names = (entry.base_name for entry in entries if entry.type == FileType.Directory)
        return sorted(name for name in names if name.startswith("train-") and name != self.name)

    def recover(self) -> str | None:
        """Return the path of the last complete state if Ray's list, or a state in it, is lost or damaged; else None.

        If a state is returned, the list is removed, and the run that resumes from the state reports it again. None
        also means that there is nothing to resume from. The last state is the one with most steps: its name states the
        time of a clock that may have been put back.
        """
        listed = self._listed()
        if listed and all(self._is_whole(f"{self._folder}/{name}") for name in listed):
            return None
        if self.files.get_file_info(f"{self._folder}/{LIST}").type != FileType.NotFound:
            self.files.delete_file(f"{self._folder}/{LIST}")
        folders = self.files.get_file_info(FileSelector(self._folder, allow_not_found=True))
        states = [folder.path for folder in folders if folder.base_name.startswith("checkpoint_")]
        whole = max(
            (path for path in states if self._is_whole(path)), key=lambda path: (self._step(path), path), default=None
        )
        if states and not whole:
            print(f"{self.storage}/{self.name}: none of its states is complete: training starts again")
        return whole

    def remove(self) -> None:
        """Delete the run's states, if any are left."""
        if self.files.get_file_info(self._folder).type != FileType.NotFound:
            self.files.delete_dir(self._folder)

    def _listed(self) -> list[str]:
        """Return the names of the states in Ray's list; empty if the list is damaged."""
        try:
            found = strict_json.parse_object(self._read(f"{self._folder}/{LIST}"))
            return [state["checkpoint_dir_name"] for state in found["checkpoint_results"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return []

    def _is_whole(self, path: str) -> bool:
        try:
            facts = facts_from_text(self._read(f"{path}/{FACTS}"))
            return hashlib.sha256(self._read(f"{path}/{TENSORS}")).hexdigest() == facts["tensors_sha256"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return False

    def _step(self, path: str) -> int:
        """Return how many steps a complete state has done."""
        step = facts_from_text(self._read(f"{path}/{FACTS}")).get("step")
        return step if isinstance(step, int) else 0

    def _read(self, path: str) -> bytes:
        with self.files.open_input_stream(path) as file:
            return file.read()


@contextmanager
def local_state(path: str, files: FileSystem) -> Iterator[Path]:
    """Yield a local folder with the state at a path of a file system; one in a bucket is copied.

    `Checkpoint.as_directory` would do so under locks in a folder that all users of a machine share and only the first
    one can write to.
    """
    if isinstance(files, LocalFileSystem):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy_files(path, folder, source_filesystem=files)
        yield Path(folder)
