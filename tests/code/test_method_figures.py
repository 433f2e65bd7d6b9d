"""Figures on blur in docs/method.md are those of reports/blur_radius/table.csv and of the released weights.

`python -m pipelines.jobs.blur_scale --check --photos ../shared/data/highres` writes the table.
"""

import csv
from pathlib import Path

import pytest

from r2mrf.network.checkpoint import load
from r2mrf.network.model_folder import locate

ROOT = Path(__file__).parents[2]
PAGE = " ".join((ROOT / "docs/method.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def table() -> list[dict]:
    with (ROOT / "reports/blur_radius/table.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def errors(rows: list[dict], least: float, most: float) -> str:
    """Return the smallest and largest median error of the rows with such radii, as the page says it."""
    some = [float(row["error_median"]) for row in rows if least <= float(row["radius"]) <= most]
    return f"{min(some):.0%}"[:-1] + f" and {max(some):.0%}".replace("%", " %")


def test_median_errors(table):
    maps = [row for row in table if row["kind"] in ("disc", "gaussian")]
    assert f"From 1.5 to 16 pixels the median error is between {errors(maps, 1.5, 16)}" in PAGE
    places = [row for row in table if row["kind"] == "--detail"]
    assert f"the median error was between {errors(places, 1.5, 11)} for discs of 1.5 to 11 pixels" in PAGE


def test_slight_blur(table):
    (one,) = [row for row in table if (row["kind"], float(row["radius"])) == ("disc", 1)]
    assert f"discs of 1 pixel are measured as {float(one['median']):.1f}" in PAGE
    (sharp,) = [row for row in table if (row["kind"], float(row["radius"])) == ("--detail", 0)]
    soft = round(int(sharp["photos"]) * (1 - float(sharp["in_focus"])))
    assert (int(sharp["photos"]), soft) == (11, 2)
    assert "on eleven photographs" in PAGE
    assert "two unblurred photos were called soft" in PAGE


def test_threshold():
    radius = load(locate("lite")).blur_scale.radius
    assert f"in pixels of its input: {radius:.2f} for the released weights" in PAGE
    assert f"a threshold at a radius of about {radius:.2f} k" in PAGE
