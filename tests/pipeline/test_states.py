"""States of training runs, on disk and on S3: found, told apart, and recovered when their list is damaged."""

import hashlib
import json

import pytest
from pyarrow.fs import FileSystem

from pipelines.training.states import LIST, States, local_state
from r2mrf.errors import UserError
from r2mrf.training.trainer import FACTS, TENSORS, facts_to_text
from tests.support.object_store import s3_server

RUN = "train-1"


class Storage:
    """The place of a test's states."""

    def __init__(self, address: str):
        self.address = address
        self.files, self.root = FileSystem.from_uri(address)

    def write(self, name: str, content: bytes | str) -> None:
        path = f"{self.root}/{name}"
        self.files.create_dir(path.rpartition("/")[0])
        with self.files.open_output_stream(path) as file:
            file.write(content.encode() if isinstance(content, str) else content)

    def write_state(self, name: str, tensors: bytes = b"weights", sha256: str | None = None, **others: int) -> str:
        facts = {"tensors_sha256": sha256 or hashlib.sha256(tensors).hexdigest()} | others
        self.write(f"{RUN}/{name}/{TENSORS}", tensors)
        self.write(f"{RUN}/{name}/{FACTS}", facts_to_text(facts))
        return f"{self.root}/{RUN}/{name}"

    def write_list(self, *names: str) -> None:
        """Write a list as Ray does, with the fields that are read here."""
        self.write(f"{RUN}/{LIST}", json.dumps({"checkpoint_results": [{"checkpoint_dir_name": n} for n in names]}))

    def has(self, name: str) -> bool:
        return self.files.get_file_info(f"{self.root}/{name}").is_file

    def states(self) -> States:
        return States(self.address, RUN)


@pytest.fixture(scope="module")
def s3():
    with s3_server() as options:
        yield options


@pytest.fixture(params=["disk", "s3"])
def storage(request, tmp_path) -> Storage:
    if request.param == "disk":
        return Storage(str(tmp_path / "runs"))
    options = request.getfixturevalue("s3")
    return Storage(f"s3://{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]}/of/a/team?{options}")


def test_nothing_there_yet(storage):
    assert storage.states().others() == []
    assert storage.states().recover() is None


def test_other_runs_are_named(storage):
    for name in (RUN, "train-3", "train-2", "tune-1"):
        storage.write(f"{name}/{LIST}", "{}")
    storage.write("train-4", "a file")
    assert storage.states().others() == ["train-2", "train-3"]


def test_a_sound_list_is_left_to_ray(storage):
    for name in ("checkpoint_1", "checkpoint_2", "checkpoint_3"):  # the last one was not listed any more
        storage.write_state(name)
    storage.write_list("checkpoint_1", "checkpoint_2")
    assert storage.states().recover() is None
    assert storage.has(f"{RUN}/{LIST}")


def test_a_sound_list_of_a_damaged_state(storage):
    whole = storage.write_state("checkpoint_1")
    storage.write_state("checkpoint_2", sha256="of other bytes")
    storage.write_list("checkpoint_1", "checkpoint_2")
    assert storage.states().recover() == whole
    assert not storage.has(f"{RUN}/{LIST}")


def test_a_sound_list_of_a_state_that_is_gone(storage):
    whole = storage.write_state("checkpoint_1")
    storage.write_list("checkpoint_1", "checkpoint_2")
    assert storage.states().recover() == whole


def test_states_without_a_list(storage):
    storage.write_state("checkpoint_1")
    whole = storage.write_state("checkpoint_2")
    assert storage.states().recover() == whole


@pytest.mark.parametrize("damaged", ["", '{"checkpoint_res', "{}", "[]", '{"checkpoint_results": [1]}', "[" * 100_000])
def test_the_last_whole_state_of_a_damaged_list(storage, damaged):
    storage.write_state("checkpoint_2026-01-01_1")
    whole = storage.write_state("checkpoint_2026-01-01_2")
    storage.write_state("checkpoint_2026-01-01_3", sha256="of other bytes")
    storage.write(f"{RUN}/checkpoint_2026-01-01_4/{TENSORS}", b"weights")
    storage.write(f"{RUN}/checkpoint_2026-01-01_5/{FACTS}", '{"tens')
    storage.write(f"{RUN}/checkpoint_2026-01-01_6/{FACTS}", "{}")
    storage.write(f"{RUN}/{LIST}", damaged)
    assert storage.states().recover() == whole
    assert not storage.has(f"{RUN}/{LIST}")


def test_the_clock_was_put_back_between_two_states(storage):
    whole = storage.write_state("checkpoint_2026-01-01_1", step=40)
    storage.write_state("checkpoint_2031-01-01_1", step=20)
    assert storage.states().recover() == whole


def test_a_damaged_list_of_nothing(storage):
    storage.write(f"{RUN}/{LIST}", "")
    assert storage.states().recover() is None


def test_a_run_that_ended_leaves_nothing(storage):
    storage.write_state("checkpoint_1")
    storage.write(f"train-2/{LIST}", "{}")
    storage.states().remove()
    assert not storage.has(f"{RUN}/checkpoint_1/{FACTS}")
    assert storage.states().others() == ["train-2"]
    storage.states().remove()  # as after a kill in the midst of clearing away


def test_a_relative_folder_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert States("runs", RUN).storage == str(tmp_path / "runs")


def test_an_address_that_is_none():
    with pytest.raises(UserError, match=r"tracking\.states gopher://x: .*s3://bucket/prefix"):
        States("gopher://x", RUN)


def test_a_state_can_be_read_from_a_folder(storage):
    state = storage.write_state("checkpoint_1", b"some weights")
    with local_state(state, storage.states().files) as folder:
        assert (folder / TENSORS).read_bytes() == b"some weights"
        assert (folder / FACTS).is_file()
    assert storage.has(f"{RUN}/checkpoint_1/{TENSORS}")
