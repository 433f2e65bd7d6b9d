"""The origin of a model: the commit and the hash of dvc.lock, which identify its code, data and parameters."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

LOCK = Path("dvc.lock")


def provenance() -> dict[str, str]:
    """Return `git_commit` (with `+changes` if tracked files differ from it) and `dvc_lock_sha256`; '' if unknown."""
    made_here = [f":!{path}" for path in (LOCK, "reports")]  # the stages write these themselves
    commit = _git("rev-parse", "HEAD")
    changes = commit and _git("status", "--porcelain", "--untracked-files=no", "--", ".", *made_here)
    return {
        "git_commit": f"{commit}+changes" if changes else commit,
        "dvc_lock_sha256": hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.is_file() else "",
    }


def _git(*arguments: str) -> str:
    """Return git's output, or '' if there is no git or no repository, as in a job on a cluster."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
