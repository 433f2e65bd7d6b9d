"""Whatever a path leads to, reading it never hangs: pipes, devices, folders and links that lead nowhere are refused."""

import contextlib
import os
import signal
import socket

import numpy as np
import pytest

from r2mrf.imaging import images
from r2mrf.imaging.images import ImageError, load, read_bytes
from tests.support.picture_files import encode, noise


@contextlib.contextmanager
def at_most(seconds: int):
    def stop(*_):
        raise TimeoutError(f"still waiting after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def unreadable(path) -> str:
    with pytest.raises(ImageError) as caught, at_most(5):
        read_bytes(path)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_missing_file(tmp_path):
    assert unreadable(tmp_path / "absent.jpg") == "unreadable"


def test_name_that_no_file_can_have():
    assert unreadable("a\0b.jpg") == "unreadable"


def test_folder(tmp_path):
    assert unreadable(tmp_path) == "not_a_file"


def test_pipe_that_nobody_writes_to(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert unreadable(tmp_path / "pipe.jpg") == "not_a_file"


def test_device_without_end():
    assert unreadable("/dev/zero") == "not_a_file"


def test_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path may have 107 bytes only
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.jpg")
        assert unreadable("s.jpg") == "not_a_file"


def test_links(tmp_path):
    (tmp_path / "good.png").write_bytes(encode(noise(), "PNG"))
    (tmp_path / "link.png").symlink_to("good.png")
    (tmp_path / "broken.png").symlink_to("absent.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    np.testing.assert_array_equal(load(tmp_path / "link.png"), noise())
    assert unreadable(tmp_path / "broken.png") == "not_a_file"
    assert unreadable(tmp_path / "loop.png") == "not_a_file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(encode(noise(), "PNG"))
    path.chmod(0)
    assert unreadable(path) == "unreadable"


def test_name_that_is_not_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(encode(noise(), "PNG"))
    np.testing.assert_array_equal(load(path), noise())


def test_file_too_long_to_read(tmp_path):
    path = tmp_path / "long.tif"
    with path.open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)  # sparse
    assert unreadable(path) == "too_large"
