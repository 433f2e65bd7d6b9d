"""Only one process at a time holds a lock."""

import threading
import time

import pytest

from r2mrf.errors import UserError
from r2mrf.system.lock import exclusive

HELD = UserError("somebody else")


def test_one_at_a_time(tmp_path):
    with exclusive(tmp_path / "a/lock", HELD), pytest.raises(UserError, match="somebody else"):
        exclusive(tmp_path / "a/lock", HELD).__enter__()
    with exclusive(tmp_path / "a/lock", HELD):
        pass


def test_patience(tmp_path):
    """Wait for an earlier attempt of the same job, which may overlap."""
    first = exclusive(tmp_path / "lock", HELD)
    first.__enter__()
    threading.Timer(0.5, first.__exit__, (None, None, None)).start()
    began = time.monotonic()
    with exclusive(tmp_path / "lock", HELD, patience=30):
        assert 0.3 < time.monotonic() - began < 25
        with pytest.raises(UserError, match="somebody else"):
            exclusive(tmp_path / "lock", HELD, patience=0.3).__enter__()
