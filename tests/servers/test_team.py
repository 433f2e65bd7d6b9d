"""The pipeline against the servers of a team: everything is there, nothing beside it, and no secret anywhere."""

import json
from pathlib import Path

import numpy as np

from r2mrf.imaging import images

NAME = "models:/r2mrf@champion"


def save_photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)))
    return path


def test_runs_and_registry_are_in_the_database(team, database):
    stages = database.ask("select value from tags where key = 'stage' order by value")
    assert stages == [("register",), ("train",), ("trial",), ("trial",), ("tune",)]
    assert database.ask("select status from runs") == [("FINISHED",)] * 5
    aliases = database.ask("select alias, version from registered_model_aliases order by alias")
    assert aliases == [("challenger", 1), ("champion", 1)]
    trained = "(select run_uuid from tags where key = 'stage' and value = 'train')"
    losses = database.ask(f"select step from metrics where key = 'loss' and run_uuid in {trained} order by step")
    assert losses == [(2,), (4,)]


def test_files_are_in_the_object_store(team, store):
    names = {Path(name).name for name in store.names("mlflow/")}
    assert {"MLmodel", "model.safetensors", "model_card.md", "dvc.lock", "curves.png"} <= names
    assert not [name for name in store.names("states/") if "checkpoint" in name]  # the run has ended


def test_no_mlflow_files_are_written_locally(team):
    assert not [name for name in ("mlflow.db", "mlartifacts", "mlruns") if (team.root / name).exists()]


def test_champion_is_used_by_name_everywhere(team, tracking, tmp_path):
    model = json.loads((team.root / "reports/register/metrics.json").read_text())
    photo = save_photo(tmp_path / "photos/a.png")
    team.run("r2mrf", "map", str(photo), "-o", str(tmp_path / "a.png"), "--model", NAME)
    out = tmp_path / "scores"
    team.run("r2mrf", "score", str(tmp_path / "photos"), "--out", str(out), "--model", NAME)
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["ok"], summary["model_sha256"]) == (1, model["model_sha256"])


def test_tampered_weights_in_the_store_are_refused(team, store, tmp_path):
    (key,) = [name for name in store.names("mlflow/") if name.endswith("model.safetensors")]
    client = store.client()
    weights = client.get_object(Bucket=store.bucket, Key=key)["Body"].read()
    client.put_object(Bucket=store.bucket, Key=key, Body=weights[:-1] + bytes([weights[-1] ^ 1]))
    photo = save_photo(tmp_path / "photo.png")
    command = ["env", f"R2MRF_CACHE={tmp_path}/cache", "r2mrf", "map", str(photo), "--model", NAME]
    try:
        said = team.run(*command, "-o", str(tmp_path / "a.png"), status=2)
    finally:
        client.put_object(Bucket=store.bucket, Key=key, Body=weights)
    assert "SHA-256 differs" in said
    assert not (tmp_path / "a.png").exists()


def test_no_secret_in_files_and_logs(team, tracking, database, store):
    secrets = [database.password.encode(), store.keys["AWS_SECRET_ACCESS_KEY"].encode()]
    files = [path for path in team.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 100
    for path in [*files, tracking.log]:
        content = path.read_bytes()
        assert not [path for secret in secrets if secret in content]
    assert not [secret for secret in secrets if secret.decode() in team.said]


def test_a_server_that_is_away_is_one_line(team):
    said = team.run(
        *("env", "MLFLOW_TRACKING_URI=http://me:secret@127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES=0"),
        *("python", "-m", "pipelines.register"),
        status=2,
    )
    assert said.splitlines()[-1].startswith("error: tracking server http://127.0.0.1:9: ")
    assert "secret" not in said
