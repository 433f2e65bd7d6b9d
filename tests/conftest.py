"""What all tests share."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may need the network

import pytest
import torch

import pipelines  # noqa: F401  (what it sets is read when Ray is imported)

torch.set_num_threads(1)  # inputs are tiny, and others share the cores


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items):
    """Two processes share the work by files; the pipeline's stay together: one Ray at a time on a machine."""
    for item in items:
        folder, name = item.path.parent.name, item.path.stem
        item.add_marker(pytest.mark.xdist_group(folder if folder == "pipeline" else name))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
