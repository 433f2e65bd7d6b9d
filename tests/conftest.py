"""What all tests share."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may need the network
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import pytest
import torch

torch.set_num_threads(1)  # inputs are tiny, and others share the cores


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
