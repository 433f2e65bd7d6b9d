"""`dvc repro` of every stage, for real, on a tiny configuration: twice, then with a changed parameter."""

import csv
import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    space = Workspace(tmp_path_factory.mktemp("repro"))
    space.run("git", "init", "-q")
    space.run("git", "add", "-A")
    space.run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "start")
    space.said = space.run("dvc", "repro")
    return space


def test_output_holds_only_the_projects_own_lines(workspace):
    """Workers print only training's lines, and Ray, MLflow and Python print no warnings."""
    lines = workspace.said.splitlines()
    of_workers = [line for line in lines if line.startswith("(")]
    ours = r"\((RayTrainWorker|trial) pid=\d+\) (step \d+/|trial steps_\d: |training on )"
    assert of_workers
    assert [line for line in of_workers if not re.match(ours, line)] == []
    complaint = re.compile(r"core_worker|Traceback|Warning|WARNING|\bINFO\b|\bERROR\b")
    assert [line for line in lines if complaint.search(line)] == []


def test_training_images(workspace):
    table = pa.concat_tables(map(pq.read_table, sorted((workspace.root / "data/augmented").glob("*.parquet"))))
    assert table.num_rows == 5 * 16
    assert table.column_names == ["source_id", "variant", "image", "mask", "transform", "sha256"]
    rows = table.to_pylist()
    assert sorted(Counter(row["source_id"] for row in rows).values()) == [16] * 5
    assert all(row["sha256"] == hashlib.sha256(row["image"] + row["mask"]).hexdigest() for row in rows)


def test_no_source_stands_on_both_sides(workspace):
    sides = {}
    for split, count in (("train", 5), ("test", 3)):
        paths = sorted((workspace.root / "data/prepared").glob(f"{split}-*.parquet"))
        table = pa.concat_tables(map(pq.read_table, paths))
        sides[split] = set(table["source_id"].to_pylist())
        assert len(sides[split]) == count
        assert set(table["split"].to_pylist()) == {split}
    assert not sides["train"] & sides["test"]


def test_data_card(workspace):
    card = json.loads((workspace.root / "reports/prepare/card.json").read_text())
    assert card["splits"] == {"test": 3, "train": 5}
    assert json.loads((workspace.root / "reports/augment/card.json").read_text())["training_images"] == 80
    for picture in ("prepare/card", "prepare/sheet", "augment/sheet"):
        assert (workspace.root / f"reports/{picture}.png").stat().st_size > 2000


def test_figures_and_pictures(workspace):
    figures = json.loads((workspace.root / "reports/evaluate/metrics.json").read_text())
    assert {"mae", "f_max", "f_adaptive", "f_05", "iou"} <= figures.keys()
    assert figures["images"] == 3
    for picture in ("evaluate/curves", "evaluate/gallery", "train/history"):
        assert (workspace.root / f"reports/{picture}.png").stat().st_size > 5000
    assert "mae" in workspace.run("dvc", "metrics", "show")


def test_chosen_steps(workspace):
    chosen = json.loads((workspace.root / "reports/tune/steps.json").read_text())
    assert chosen["steps"] in (1, 2)
    assert [(trial["steps"], trial["status"]) for trial in chosen["trials"]] == [(1, "finished"), (2, "finished")]
    assert (workspace.root / "reports/tune/trials.png").stat().st_size > 5000
    # params.yaml names a number, and that is what was trained
    assert "-T2-" in json.loads((workspace.root / "reports/evaluate/metrics.json").read_text())["model"]


def test_methods_side_by_side(workspace):
    with (workspace.root / "reports/evaluate/comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["R²MRF", "Laplacian energy", "gradient energy", "high frequencies"]
    assert {row["photos"] for row in rows} == {"3"}
    assert all(0 <= float(row["f_05"]) <= 1 and float(row["seconds_a_photo"]) > 0 for row in rows)
    figures = json.loads((workspace.root / "reports/evaluate/metrics.json").read_text())
    assert float(rows[0]["mae"]) == pytest.approx(figures["mae"], abs=1e-4)


def test_ablation_without_a_budget_trains_nothing(workspace):
    assert json.loads((workspace.root / "reports/ablate/measured.json").read_text()) == {}
    table = (workspace.root / "reports/ablate/table.md").read_text()
    assert "not run: `python -m pipelines.ablate no_rrm`" in table


def test_scores_of_real_photographs(workspace):
    summary = json.loads((workspace.root / "library/summary.json").read_text())
    assert summary["total"] == summary["ok"] == 7
    (shard,) = (workspace.root / "library/scores").glob(f"shard-*-{summary['fingerprint']}.parquet")
    assert {Path(path).name for path in pq.read_table(shard)["path"].to_pylist()} >= {"flower.jpg", "coffee.png"}
    assert len(list((workspace.root / "library/maps").glob("*.png"))) == 7


def test_last_words_of_the_demo(workspace):
    said = workspace.run("python", "-m", "pipelines.jobs.demo")
    assert "(7 photos scored, 0 failed)" in said
    assert "flower.jpg" in said


def test_registered_model_is_the_trained_one(workspace):
    code = (
        "from r2mrf import Predictor; from r2mrf.network.checkpoint import load; "
        "print(Predictor.load('models:/r2mrf@champion').checkpoint.sha256 == load('models/r2mrf').sha256)"
    )
    assert workspace.run("python", "-c", code).split()[-1] == "True"


def test_registered_model_serves_image_bytes(workspace):
    code = (
        "import mlflow, pandas as pd; mlflow.set_tracking_uri('sqlite:///mlflow.db'); "
        "from sklearn.datasets import load_sample_images as l; from r2mrf import images as i; "
        "photo = i.encode_png(l().images[0]); model = mlflow.pyfunc.load_model('models:/r2mrf@challenger'); "
        "print(model.predict(pd.DataFrame({'image': [photo, b'no photo']})).status.tolist())"
    )
    assert workspace.run("python", "-c", code).strip().endswith("['ok', 'failed']")


def test_nothing_is_done_twice(workspace):
    assert "Data and pipelines are up to date" in workspace.run("dvc", "repro")
    assert "up to date" in workspace.run("dvc", "status")


def test_results_are_new_files_the_lock_and_small_reports(workspace):
    """No file of the project itself has changed."""
    seen = workspace.run("git", "status", "--short", "-uall").splitlines()
    assert {"?? dvc.lock", "?? reports/evaluate/metrics.json"} <= set(seen)
    assert all(line == "?? dvc.lock" or line.startswith("?? reports/") for line in seen), seen


def test_a_parameter_reruns_only_what_reads_it(workspace):
    workspace.set({"score": {"sharp_below": 0.2}})
    would_run = [line for line in workspace.run("dvc", "repro", "--dry").splitlines() if "Running stage" in line]
    assert [line.split("'")[1] for line in would_run] == ["score"]
    workspace.set({"score": {"sharp_below": 0.15}})


def test_unknown_parameter_is_one_line(workspace):
    params = workspace.root / "params.yaml"
    before = params.read_text()
    params.write_text(before + "learning_rate: 1\n")
    said = workspace.run("python", "-m", "pipelines.prepare", status=2)
    params.write_text(before)
    assert said == "error: params.yaml: unknown parameter learning_rate: remove it or correct its name\n"


def test_missing_data_folder_is_one_line(workspace):
    workspace.set({"data": {"source": "cuhk", "root": "nowhere"}})
    said = workspace.run("python", "-m", "pipelines.prepare", status=2)
    workspace.set({"data": {"source": "synthetic", "root": "data/raw"}})
    assert said.startswith("error: nowhere: the set cuhk")
    assert said.count("\n") == 1
