"""A model's provenance names the Git commit, and says whether the code was changed since."""

import subprocess
from pathlib import Path

from pipelines.registry.provenance import provenance


def test_git_commit_is_told_and_whether_it_is_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert provenance() == {"git_commit": "", "dvc_lock_sha256": ""}

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        return subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    for name in ("code.py", "dvc.lock"):
        Path(name).write_text("1")
    git("add", "-A")
    git("commit", "-qm", "start")
    Path("dvc.lock").write_text("2")
    commit = git("rev-parse", "HEAD")
    assert provenance()["git_commit"] == commit
    Path("code.py").write_text("2")
    assert provenance()["git_commit"] == f"{commit}+changes"
