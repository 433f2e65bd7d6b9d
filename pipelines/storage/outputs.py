"""Where stages put their outputs: folders of the project or, with `storage`, a place that all machines can reach.

    with output_folder(MODEL, config.storage) as folder: ...     # a stage's output
    local_copy(MODEL)                                           # its input: the folder, or a verified copy of it

`storage` is s3://bucket/prefix, or a folder that every machine sees under the same path. A project folder then contains
only `receipt.json`, with the address and the SHA-256 of every file. The content of an address is never replaced, so a
receipt stays valid. Receipts and reports themselves are uploaded to STORAGE/outputs, because what a job writes next to
its code is lost with its cluster. The next job downloads them from there, and so can you:

    python -m pipelines.storage        # download the receipts and reports of the latest jobs into this checkout
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.cluster.ray_cluster import in_a_job
from pipelines.storage.store import Store, below
from r2mrf.errors import UserError
from r2mrf.system import strict_json, user_cache
from r2mrf.system.atomic import atomic_file, atomic_folder
from r2mrf.system.fingerprint import fingerprint, of_files

RECEIPT = "receipt.json"
KEPT = ("data/prepared", "data/augmented", "models/r2mrf")  # outputs that may be replaced by a receipt
IN_STORAGE = Path("runs/in_storage.json")  # which receipts and reports of this project its storage has


@dataclass(frozen=True)
class Receipt:
    """Stands for a project folder whose files are kept elsewhere: their address, names and hashes."""

    address: str
    files: dict[str, str]  # name -> SHA-256
    rows: int | None = None  # for Parquet shards

    @classmethod
    def parse(cls, content: bytes) -> Receipt:
        """Return the receipt that a file's content states. Raises ValueError or TypeError if it is damaged."""
        receipt = cls(**strict_json.parse_object(content))
        named = isinstance(receipt.files, dict) and all(isinstance(sha256, str) for sha256 in receipt.files.values())
        if not (named and isinstance(receipt.address, str) and isinstance(receipt.rows, int | None)):
            raise ValueError("a value of another type")
        return receipt

    def copy(self) -> Path:
        """Return a local folder with the files, which are downloaded once and verified.

        Raises:
            UserError: the files are missing, or differ from what the receipt says.
        """
        cached = cache() / fingerprint(self.files)[:32]
        if cached.is_dir():
            return cached
        store = Store(self.address)
        with tempfile.TemporaryDirectory(dir=cached.parent) as scratch:
            new = Path(scratch) / "new"
            for name, sha256 in self.files.items():
                if Path(name).name != name:
                    raise UserError(f"receipt of {self.address}: {name!r} is not a file name: run its stage again")
                store.fetch(name, new / name)
                if of_files([new / name])[name] != sha256:
                    raise UserError(
                        f"{self.address}: {name} is not the file that the receipt names: run its stage again"
                    )
            with suppress(OSError):  # another process on this machine was faster
                new.rename(cached)
        return cached


@dataclass(frozen=True)
class Folder:
    """A stage's output in a form that can be sent to other machines: a path, or the receipt that stands for it."""

    path: Path
    receipt: Receipt | None

    def local_copy(self) -> Path:
        """Return the folder with the files."""
        return self.receipt.copy() if self.receipt else self.path


def folder(path: Path) -> Folder:
    """Return the output at a path of the project: a folder, or the receipt that stands for one.

    Raises:
        UserError: the receipt is damaged.
    """
    try:
        return Folder(path.resolve(), Receipt.parse((path / RECEIPT).read_bytes()))
    except FileNotFoundError:
        return Folder(path.resolve(), None)
    except (TypeError, ValueError):
        raise UserError(f"{path / RECEIPT} is damaged: run the stage that makes {path} again") from None


def local_copy(path: Path) -> Path:
    """Return the folder at a path of the project or, if it holds a receipt, a verified copy of what it names."""
    made = folder(path)
    return made.local_copy() if made.receipt else path


@contextmanager
def output_folder(path: Path, storage: str) -> Iterator[Path]:
    """Yield a folder to fill: `path` itself or, with a storage, a scratch folder that is uploaded at the end."""
    if not storage:
        if (path / RECEIPT).is_file():  # from a time when a storage was set
            shutil.rmtree(path)
        yield path
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield (made := Path(scratch) / "made")
        files = of_files(made.iterdir())
        store = Store(_address(path, storage, files))
        for name in files:
            with store.writing(name) as target:
                shutil.copyfile(made / name, target)
        _stand(path, Receipt(store.address, files))


def is_in(path: Path, storage: str) -> bool:
    """Return whether the output at a path of the project is where `output_folder` puts it with this storage."""
    receipt = folder(path).receipt
    if receipt is None:
        return not storage
    return bool(storage) and receipt.address == _address(path, storage, receipt.files)


def _address(path: Path, storage: str, files: dict[str, str]) -> str:
    return below(storage, path.as_posix(), fingerprint(files)[:16])


def leave_receipt(path: Path, store: Store, names: list[str], rows: int) -> None:
    """Put a receipt at `path` for files that are already in a store; they are downloaded to compute their hashes."""
    with tempfile.TemporaryDirectory(dir=cache()) as scratch:
        new = Path(scratch) / "new"
        for name in names:
            store.fetch(name, new / name)
        files = of_files(new.iterdir())
        with suppress(OSError):  # the cache already has it
            new.rename(cache() / fingerprint(files)[:32])
    _stand(path, Receipt(store.address, files, rows))


def _stand(path: Path, receipt: Receipt) -> None:
    content = {key: value for key, value in asdict(receipt).items() if value is not None}
    with atomic_folder(path) as new:
        (new / RECEIPT).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@contextmanager
def outputs_synchronised(storage: str) -> Iterator[None]:
    """Before a cluster job, download the receipts and reports of earlier jobs; after any run, upload the new ones.

    New are those that the storage does not have from this project yet: also what an earlier run wrote that was killed
    before its upload. Others may be older than those in the storage, which another machine may have uploaded.
    """
    if not storage:
        yield
        return
    store = Store(below(storage, "outputs"))
    if in_a_job():
        download_outputs(store)
    known = _in_storage(store)
    if known is None:
        _note_in_storage(store, known := _outputs())
    yield
    there = store.names()
    new = {name: sha256 for name, sha256 in _outputs().items() if known.get(name) != sha256 or name not in there}
    for name in new:
        with store.writing(name) as path:
            shutil.copyfile(name, path)
    _note_in_storage(store, known | new)  # if a run is killed before, the next one uploads them again


def _in_storage(store: Store) -> dict[str, str] | None:
    """Return the hashes of the outputs that the store has from this project; None if that is not known."""
    try:
        noted = strict_json.parse_object(IN_STORAGE.read_bytes())
    except (OSError, ValueError):
        return None
    return noted["files"] if noted.get("store") == _name(store) and isinstance(noted.get("files"), dict) else None


def _note_in_storage(store: Store, files: dict[str, str]) -> None:
    with atomic_file(IN_STORAGE) as path:
        path.write_text(json.dumps({"store": _name(store), "files": files}), encoding="utf-8")


def _name(store: Store) -> str:
    return hashlib.sha256(store.address.encode()).hexdigest()  # an address may hold a key


def download_outputs(store: Store) -> list[str]:
    """Copy receipts and reports into the project; return their names.

    Raises:
        UserError: a receipt would be put next to files that it does not stand for.
    """
    names = sorted(name for name in store.names() if _is_output(name))
    for name in names:
        beside = Path(name).parent
        if name.endswith(RECEIPT) and beside.is_dir() and any(path.name != RECEIPT for path in beside.iterdir()):
            raise UserError(
                f'{beside} was made on this machine, and a receipt would replace it: move it away, or set storage to ""'
            )
    for name in names:
        store.fetch(name, Path(name))
    if names:
        _note_in_storage(store, _outputs())
    return names


def _outputs() -> dict[str, str]:
    """Return the reports and receipts of this project, with the hash of their content.

    Receipts come last: if an upload is stopped, a stage whose receipt has arrived has its reports there, too.
    """
    files = [*Path("reports").rglob("*"), *(Path(kept) / RECEIPT for kept in KEPT)]
    return {
        path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file() and not path.name.startswith(".")
    }


def _is_output(name: str) -> bool:
    path = Path(name)
    return ".." not in path.parts and (path.parts[0] == "reports" or name in {f"{kept}/{RECEIPT}" for kept in KEPT})


def cache() -> Path:
    """Return the folder of verified copies of data and registered models; it may be deleted when no job is running."""
    folder = user_cache.folder()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> None:
    """Download the receipts and reports of the latest jobs into this checkout."""
    from r2mrf.config import load

    if not (storage := load().storage):
        raise UserError('storage is "": the stages write all outputs to the folders of this project')
    print("\n".join(download_outputs(Store(below(storage, "outputs")))))
