"""Benchmarks run in their short form and write what the pages need. Nothing here tests speed.

Benchmarks that start Ray are tested in tests/chaos.
"""

from pathlib import Path

import pytest
import torch

from benchmarks import decoding, growth, manifest, network, startup, view
from benchmarks.harness import page
from benchmarks.harness.figures import Figure, by_turns, exponent, ratio, record
from benchmarks.harness.plan import basis, plan
from tests.support.benchmark import run_short

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    monkeypatch.setattr(page, "PERFORMANCE", tmp_path / "performance.md")
    monkeypatch.setattr(page, "SCALE", tmp_path / "scale.md")
    return tmp_path


def page_of(bench: Path, name: str = "performance.md") -> str:
    page.main()
    return (bench / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "module", [startup, network, decoding, growth, view, manifest], ids=lambda module: module.__name__
)
def test_runs_in_its_short_form(module, tmp_path):
    facts = run_short(module, tmp_path)
    assert facts["machine"] and facts["commit"] and facts["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_every_benchmark_has_its_module_and_its_section():
    assert all((ROOT / "benchmarks" / f"{name}.py").is_file() for name in page.BENCHMARKS)
    template = (ROOT / "benchmarks/harness/performance.md.j2").read_text(encoding="utf-8")
    assert all(f'section("{name}")' in template for name in page.BENCHMARKS)


def test_ratios_are_taken_turn_by_turn():
    assert ratio("t", "a / b", [2.0, 9.0], [1.0, 3.0]).values == [2.0, 3.0]
    calls = []
    seconds = by_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2)
    assert calls == ["a", "b"] * 3  # once before, which is not counted
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_what_was_measured_before_is_compared(bench):
    (bench / page.BEFORE).mkdir()
    for folder, value in ((bench / page.BEFORE, 26.5), (bench, 2.75)):
        figures = [
            Figure("t", "start to first shard on disk", "s", [value]),
            Figure("t", "r2mrf score", "photos/s", [value]),
            Figure("t", "windows seen", "", [value]),
        ]
        record("score", figures, folder, short=False)
    text = page_of(bench)
    assert "| windows seen | 2.75 |  |  |  |" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| score, t |")]
    assert row == "| score, t | start to first shard on disk | 26.5 | 2.75 | s |"


def test_exponent_of_known_growth():
    sizes = [10, 100, 1000]
    figure = exponent("t", "cost", sizes, [[3.0 * n for n in sizes], [n * n / 7 for n in sizes]], at_most=1.0)
    assert figure.values == pytest.approx([1.0, 2.0])
    assert not figure.row()["reached"]


@pytest.mark.parametrize(
    ("bounds", "reached"), [({"at_least": 2}, True), ({"at_least": 2.1}, False), ({"at_most": 0}, False)]
)
def test_targets_are_compared_with_the_median(bounds, reached):
    row = Figure("t", "n", "s", [1.0, 2.0, 9.0], **bounds).row()
    assert (row["median"], row["low"], row["high"]) == (2.0, 1.0, 9.0)
    assert row["reached"] is reached


def test_pages_name_what_was_not_run(bench):
    text = page_of(bench)
    assert all(f"not run: `python -m benchmarks.{name}`" in text for name in page.BENCHMARKS)
    assert "Not measured yet" in page_of(bench, "scale.md")


def test_a_short_run_is_none(bench):
    record("startup", [Figure("warm", "import", "s", [1.5])], bench, short=True)
    assert "not run: `python -m benchmarks.startup`" in page_of(bench)


def test_page_holds_figures_what_is_missing_and_what_missed_its_aim(bench):
    figures = [
        Figure("warm", "import", "s", [1.5, 1.0, 2.5], at_most=1.2),
        Figure("warm", "other", "s", note="no disk"),
    ]
    record("startup", figures, bench, short=False)
    text = page_of(bench)
    assert "| import | 1.5 (1 to 2.5) | s | ≤ 1.2: **not reached** |" in text
    assert "| other | not run: no disk |" in text
    assert "1 figures have a target, and 0 reach it." in text


def test_a_run_that_was_cut_short_says_so(bench):
    def figures():
        yield Figure("warm", "import", "s", [1.0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record("startup", figures(), bench, short=False)
    assert "cut short" in page_of(bench)


def test_plan_multiplies_what_was_measured():
    phases = {"listed and sharded: time": 100.0, "scores written: time": 300.0, "run again, nothing new: time": 50.0}
    sizes = {"scores written: largest memory": 800.0, "manifest on disk": 50.0, "scores on disk": 150.0}
    rows = [{"name": name, "median": value} for name, value in (phases | sizes).items()]
    known = basis(20.0, 2, {"1,000,000 rows": rows, "growth over the rows": []})
    assert known.driver_rate == 2500
    assert known == basis(20.0, 2, {"1,000,000 rows": rows, "100,000,000 rows": rows[:1]})  # that was cut short
    made = plan(1e8, known, 500)
    assert (made.parts, made.files, made.listings) == (100, 400_000, 100_000)
    assert made.core_hours == pytest.approx(1e8 / 10 / 3600)
    assert made.driver_hours == pytest.approx(100 * 400 / 3600)
    assert made.table_bytes == 2e10


def test_no_plan_without_figures():
    assert basis(None, 2, {}) is None
    assert basis(20.0, 2, {"1,000,000 rows": [{"name": "listed and sharded: time", "median": 1.0}]}) is None
