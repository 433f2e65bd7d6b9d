"""A tiny model for the tests of this folder."""

from pathlib import Path

import pytest
from tiny import save_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
