"""Fixtures and hooks for all tests."""

import atexit
import os
import shutil
import signal
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may need the network
os.environ["R2MRF_CACHE"] = tempfile.mkdtemp(prefix="r2mrf-cache-")  # not the user's

import pytest
import torch

import pipelines  # noqa: F401  (what it sets is read when Ray is imported)

atexit.register(shutil.rmtree, os.environ["R2MRF_CACHE"], ignore_errors=True)
# A shell starts what runs in its background with Ctrl-C ignored, and programs that tests start would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

RAY = {
    f"tests/pipeline/test_{name}.py"
    for name in ("ablate", "build", "documents", "outputs", "repro", "score", "secrets", "train")
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Distribute tests by file, and those that share a fixture in a folder of their own by folder.

    One process runs all files that start Ray, since a machine has room for one Ray.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            folder = file.rpartition("/")[0]
            return "ray" if file in RAY else folder if folder.count("/") > 1 else file

    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Give every test one thread, whatever was set by those before it in the same process.

    Inputs are tiny, and others share the cores; and the last bits of a result depend on the number of threads.
    """
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
