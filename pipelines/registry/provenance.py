"""What a model was made from, as names that can be looked up: code, data and parameters by commit and dvc.lock."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

LOCK = Path("dvc.lock")


def provenance() -> dict[str, str]:
    """`git_commit`, with `+changes` if files that git knows differ from it, and `dvc_lock_sha256`; '' if unknown."""
    made_here = [f":!{path}" for path in (LOCK, "reports")]  # what the stages themselves write
    commit = _git("rev-parse", "HEAD")
    changes = commit and _git("status", "--porcelain", "--untracked-files=no", "--", ".", *made_here)
    return {
        "git_commit": f"{commit}+changes" if changes else commit,
        "dvc_lock_sha256": hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.is_file() else "",
    }


def _git(*arguments: str) -> str:
    """Its answer; '' outside of a repository, as in a cluster's job, or without git."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
