"""A copy of the project with a tiny configuration, in which commands run as a user would run them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TINY = {
    "data": {"size": 64, "train": 5, "test": 3},
    "lite": {
        "model": {"amdf_width": 4, "width": 2, "steps": 2, "input_size": 64},
        "train": {"steps": 4, "batch": 2, "crop": 48, "validation": 1, "report_every": 2},
    },
    "tune": {"steps": [1, 2], "budget": 2, "grace": 2, "crop": 48, "validation": 1, "report_every": 1},
    "ablate": {"steps": 4, "validation": 1},
    "evaluate": {"gallery": 3, "baseline_pairs": 4},
    "registry": {"least_f_05": 0.0, "most_mae": 1.0},  # what a few steps learn may be nothing
}


def merge(values: dict, changes: dict) -> dict:
    return {
        key: merge(value, changes.get(key, {})) if isinstance(value, dict) else changes.get(key, value)
        for key, value in values.items()
    }


class Workspace:
    """The files that git knows of, in a folder of their own."""

    def __init__(self, root: Path):
        self.root = root
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file() and name != "dvc.lock":
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, root / name)
        self.set(TINY)
        self.env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
        self.env["R2MRF_CACHE"] = str(root / "runs/cache")
        self.env.pop("MLFLOW_TRACKING_URI", None)

    def run(self, *command: str, status: int = 0) -> str:
        done = subprocess.run(
            command, cwd=self.root, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == status, done.stdout[-4000:]
        return done.stdout

    def set(self, changes: dict) -> None:
        params = self.root / "params.yaml"
        params.write_text(yaml.safe_dump(merge(yaml.safe_load(params.read_text()), changes)))
