"""A row of the ablation, trained for real: too slow for `make test`."""

import json
import signal
import subprocess

import pytest

from tests.support.workspace import Workspace


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """Return a workspace with training images and without a model."""
    space = Workspace(tmp_path)
    for stage in ("prepare", "augment"):
        space.run("python", "-m", f"pipelines.{stage}")
    return space


def test_a_row_of_the_ablation_is_trained_and_measured(workspace):
    workspace.run("python", "-m", "pipelines.ablate", "T1")
    measured = workspace.root / "reports/ablate/measured.json"
    (row,) = json.loads(measured.read_text()).values()
    assert (row["steps"], row["training_steps"], row["figures"]["O5"]["images"]) == (1, 4, 1)
    assert [report["step"] for report in row["history"]] == [2, 4]
    assert row["seconds"] > 0
    assert "| T1 |" in (workspace.root / "reports/ablate/table.md").read_text()
    workspace.run("python", "-m", "pipelines.ablate", "T1")  # done once
    assert list(json.loads(measured.read_text()).values()) == [row]
    workspace.run("python", "-m", "pipelines.ablate", "--threads", "1", "T0")  # without Ray
    workspace.run("python", "-m", "pipelines.ablate", "--test", "all")
    rows = {row["row"]: row for row in json.loads(measured.read_text()).values()}
    assert [rows[name]["test"]["fused"]["images"] for name in ("T0", "T1")] == [3, 3]


def test_a_row_that_is_stopped_goes_on(workspace):
    workspace.set({"ablate": {"steps": 20}})
    command = ["python", "-m", "pipelines.ablate", "--threads", "1", "T1"]
    for stop, step in ((signal.SIGKILL, 6), (signal.SIGINT, 14)):
        running = subprocess.Popen(
            command, cwd=workspace.root, env=workspace.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said = next(line for line in running.stdout if f"step {step}/20:" in line)
        running.send_signal(stop)
        rest, _ = running.communicate(timeout=120)
        assert running.returncode == (130 if stop == signal.SIGINT else -stop), said + rest
    assert "step 2/20:" not in (said := workspace.run(*command)), said
    (row,) = json.loads((workspace.root / "reports/ablate/measured.json").read_text()).values()
    assert [report["step"] for report in row["history"]] == list(range(2, 21, 2))
