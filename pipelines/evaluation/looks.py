"""Records which models were measured on the test photos of a published set, so that settings are not chosen by them.

Each measurement is a line of reports/test_looks.csv, and docs/results.md states their number. Measuring the same model
again gives the same figures, and adds no line.
"""

from __future__ import annotations

from pipelines.project.folders import REPORTS
from pipelines.project.tables import read_csv, write_csv
from r2mrf.config import Config

LOOKS = REPORTS / "test_looks.csv"
RENDERED = ("synthetic", "composite")  # another seed renders new test pairs, so there is nothing to count


def note(config: Config, model: str, test_set: str, by: str) -> int:
    """Record that a stage (`by`) measures a model on a test set; return how many models have been measured so far."""
    if config.data.source in RENDERED:
        return 0
    line = {"source": config.data.source, "test_set": test_set, "model": model, "by": by}
    before = looks()
    if all((other["test_set"], other["model"]) != (test_set, model) for other in before):
        write_csv(LOOKS, before := [*before, line])
    return sum(other["test_set"] == test_set for other in before)


def looks() -> list[dict[str, str]]:
    """Return all measurements so far."""
    return read_csv(LOOKS)
