"""What all tests share."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may need the network

import pytest
import torch

import pipelines  # noqa: F401  (what it sets is read when Ray is imported)

torch.set_num_threads(1)  # inputs are tiny, and others share the cores


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
