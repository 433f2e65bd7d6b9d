"""A benchmark in its short form, as `python -m benchmarks.NAME --short` runs it, and the file that it must write."""

import contextlib
import json
from pathlib import Path
from types import ModuleType

import torch

from benchmarks.harness.figures import record

ROOT = Path(__file__).parents[2]


def run_short(module: ModuleType, folder: Path) -> dict:
    """Run it and return the file it leaves in `folder`, after checking that all figures are there and are numbers.

    Afterwards torch has as many threads as before.
    """
    name, threads = module.__name__.partition(".")[2], torch.get_num_threads()
    with contextlib.chdir(ROOT):
        left = record(name, module.measure(short=True), folder, short=True)
    torch.set_num_threads(threads)
    facts = json.loads(left.read_text(encoding="utf-8"))
    assert facts["finished"]
    assert facts["short"]
    assert facts["rows"]
    for row in facts["rows"]:
        assert row["values"] or row["note"], row
        assert all(value == value for value in row["values"]), row  # no NaN
    return facts
