"""Benchmarks that start Ray run, in their short form: a minute each."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import augment, memory, score, training
from benchmarks.figures import record


@pytest.mark.parametrize("module", [augment, memory, score, training], ids=lambda module: module.__name__)
def test_runs_in_its_short_form(module, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    threads = torch.get_num_threads()
    name = module.__name__.partition(".")[2]
    facts = json.loads(record(name, module.measure(short=True), tmp_path, short=True).read_text(encoding="utf-8"))
    torch.set_num_threads(threads)
    assert facts["finished"]
    assert facts["rows"]
    assert all(row["values"] for row in facts["rows"])
