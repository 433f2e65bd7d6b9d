"""Benchmarks that start Ray, in their short form: a minute each."""

import pytest

from benchmarks import augment, memory, scaling, score, training
from tests.support.benchmark import run_short


@pytest.mark.parametrize("module", [augment, memory, scaling, score, training], ids=lambda module: module.__name__)
def test_runs_in_its_short_form(module, tmp_path):
    assert all(row["values"] for row in run_short(module, tmp_path)["rows"])
