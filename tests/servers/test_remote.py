"""DVC's data on S3: pushed from where it was made, pulled into a fresh clone, where `dvc repro` has nothing to do."""

import subprocess

from tests.support.workspace import Workspace


def test_clone_and_pull_leave_nothing_to_do(team, store, tmp_path):
    team.run("dvc", "push")
    assert store.names("dvc/files/")
    clone = Workspace.__new__(Workspace)
    clone.root, clone.env = tmp_path / "clone", team.env
    subprocess.run(["git", "clone", "-q", str(team.root), str(clone.root)], check=True)
    clone.run("dvc", "pull")
    for file in ("models/r2mrf/model.safetensors", "library/summary.json", "data/augmented"):
        assert (clone.root / file).exists()
    weights = [(space.root / "models/r2mrf/model.safetensors").read_bytes() for space in (team, clone)]
    assert weights[0] == weights[1]
    assert "Data and pipelines are up to date" in clone.run("dvc", "repro")
    assert clone.run("git", "status", "--short") == ""
