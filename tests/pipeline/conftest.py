"""A tiny model, and Ctrl-C, for the tests of this folder."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import save_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python hears it, as in a program that was just started; processes that share out tests may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
