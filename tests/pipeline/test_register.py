"""The registry: what a registered model holds, who becomes champion, and what is refused when it is fetched."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow import MlflowClient

from pipelines.evaluation.held_out import name_of
from pipelines.register import NEEDED, register
from pipelines.registry import models, promotion, resolve, runs
from r2mrf.config import Config, Registry, Score, load
from r2mrf.data import shards
from r2mrf.errors import UserError
from r2mrf.evaluation.metrics import Counts
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.network import checkpoint, model_folder
from r2mrf.network.model_folder import CheckpointError
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.radius import UNKNOWN, to_hundredths
from r2mrf.prediction.record import DETAIL, record
from tests.support.imports import ROOT, imported_at_all
from tests.support.model import save_tiny_model

REGISTRY = Registry(name="r2mrf", margin=0.01, least_f_05=0.5, most_mae=0.3)


# --- the gate --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("challenger", "champion", "passes"),
    [
        ((0.5, 0.3), None, True),  # both thresholds are reached
        ((0.4999, 0.3), None, False),
        ((0.5, 0.3001), None, False),
        ((float("nan"), 0.1), None, False),
        ((0.9, 0.1), (0.88, 0.05), True),  # by more than the margin; a worse mae is allowed
        ((0.9, 0.1), (0.895, 0.1), False),  # better, but by less
        ((0.9, 0.1), (0.9, 0.2), False),
        ((0.9, 0.1), (0.95, 0.1), False),
        ((0.45, 0.1), (0.1, 0.1), False),  # better than a bad champion, and still not good enough
    ],
)
def test_gate(challenger, champion, passes):
    figures = [dict(zip(promotion.FIGURES, pair, strict=True)) if pair else None for pair in (challenger, champion)]
    said = promotion.reason_against(REGISTRY, *figures)
    assert (said is None) == passes
    if said:
        assert "\n" not in said
        assert any(figure in said for figure in promotion.FIGURES)


# --- a registry of our own -------------------------------------------------------------------------------


@dataclass
class Team:
    """A workspace with test pairs, whose models are registered under one name."""

    root: Path
    name: str

    @property
    def config(self) -> Config:
        config = load(ROOT / "params.yaml")
        registry = REGISTRY.model_copy(update={"name": self.name})
        return config.model_copy(update={"registry": registry})

    def train(self, seed: int, **figures: float | str) -> str:
        """Make a model in models/r2mrf with these figures; return its hash."""
        save_tiny_model(self.root / "models/r2mrf", seed)
        trained = checkpoint.load(self.root / "models/r2mrf")
        trained.training.update(fingerprint=f"{self.name}-{seed}", data="0123", source="synthetic", steps=4)
        checkpoint.save(self.root / "models/r2mrf", trained)
        known = {"images": 2, "images_without_defocus": 1, "model": trained.name, "mae": 0.2}
        known |= {"test_set": name_of(self.test_pairs())}
        path = self.root / "reports/evaluate/metrics.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(known | figures))
        return trained.sha256

    def test_pairs(self) -> pa.Table:
        return shards.read(self.root / "data/prepared", "test-*.parquet")

    def pairs(self, seed: int) -> None:
        rng, rows = np.random.default_rng(seed), []
        for i in range(2):
            pixels = images.encode_png(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
            row = {name: None for name in shards.PAIRS.names} | {"source_id": str(i), "split": "test"}
            rows.append(row | {"image": pixels, "mask": pixels, "sha256": hashlib.sha256(pixels).hexdigest()})
        shards.write(self.root / "data/prepared/test-00000.parquet", rows, shards.PAIRS, "made by a test")

    def register(self) -> None:
        register(self.config)

    def aliases(self) -> dict[str, str]:
        return {alias: str(v) for alias, v in MlflowClient().get_registered_model(self.name).aliases.items()}

    def version(self, version: str) -> mlflow.entities.model_registry.ModelVersion:
        return MlflowClient().get_model_version(self.name, version)

    def files(self, version: str) -> Path:
        """Return the folder in which the artifact store keeps a version."""
        return Path(MlflowClient().get_model_version_download_uri(self.name, version).removeprefix("file://"))


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Iterator[Path]:
    """Make the database once for all tests, as MLflow needs some seconds for it."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("R2MRF_CACHE", str(folder / "cache"))
        yield folder
    mlflow.set_tracking_uri(None)


@pytest.fixture(scope="module")
def team(database, tmp_path_factory) -> Iterator[Team]:
    """Register two models: the first is the champion, the second is not better by enough."""
    team = Team(tmp_path_factory.mktemp("work"), "r2mrf")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(team.root)
        shutil.copy(ROOT / "requirements.txt", team.root)
        (team.root / "dvc.lock").write_text("schema: '2.0'\n")
        team.pairs(0)
        team.train(1, f_05=0.8)
        team.register()
        team.train(2, f_05=0.805)
        team.register()
        yield team


# --- who becomes champion --------------------------------------------------------------------------------


def test_challenger_moves_always_champion_by_the_margin_only(team):
    assert team.aliases() == {"challenger": "2", "champion": "1"}
    assert team.version("1").tags["gate"] == "passed"
    assert "is not above the champion's" in team.version("2").tags["gate"]
    report = json.loads(Path("reports/register/metrics.json").read_text())
    assert (report["champion"], report["gate"]) == (False, team.version("2").tags["gate"])


def test_known_weights_are_not_registered_again(team, capsys):
    team.train(1, f_05=0.8)
    team.register()
    assert team.aliases() == {"challenger": "1", "champion": "1"}
    assert capsys.readouterr().out == "models:/r2mrf/1 is the champion\n"


def test_the_champion_is_measured_again_on_other_test_pairs(team, capsys):
    team.pairs(1)
    try:
        team.train(2, f_05=0.99)
        before = team.version("1").tags
        team.register()
        after = team.version("1").tags
        assert before["test_set"] != after["test_set"] == team.version("2").tags["test_set"]
        predictor, counts = Predictor.load("models:/r2mrf/1"), Counts()
        for row in team.test_pairs().to_pylist():
            counts.add(to_uint8(predictor(images.decode(row["image"]))), images.decode_mask(row["mask"]))
        assert float(after["f_05"]) == counts.summary()["f_05"] != float(before["f_05"])
        assert team.aliases() == {"challenger": "2", "champion": "2"}
        assert "models:/r2mrf/1, the champion, was evaluated on other test pairs" in capsys.readouterr().out
    finally:
        team.pairs(0)


def test_figures_of_another_model(team):
    team.train(3, f_05=0.9, model="another")
    with pytest.raises(UserError, match=r"belongs to model another, not .*: run `dvc repro evaluate` again"):
        team.register()


def test_figures_of_test_pairs_that_are_gone(team):
    team.train(1, f_05=0.8, test_set="of last week")
    MlflowClient().set_registered_model_alias("r2mrf", "champion", "2")
    with pytest.raises(UserError, match="to other test pairs than data/prepared"):
        team.register()


# --- what a version holds --------------------------------------------------------------------------------


def test_tags_say_what_it_was_made_from(team):
    tags = team.version("1").tags
    weights = team.files("1") / "artifacts/r2mrf/model.safetensors"
    assert tags["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert tags["dvc_lock_sha256"] == hashlib.sha256(Path("dvc.lock").read_bytes()).hexdigest()
    assert tags["data"] == "0123"
    run = team.version("1").run_id
    assert {"model_card.md", "dvc.lock", "evaluate"} <= {f.path for f in MlflowClient().list_artifacts(run)}
    assert MlflowClient().get_run(run).data.metrics["mae"] == 0.2


def test_git_commit_is_told_and_whether_it_is_all(tmp_path, monkeypatch):
    from pipelines.registry.provenance import provenance

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


def test_card_says_what_it_is(team):
    card = team.version("1").description
    assert len(card) < 5000
    assert "| f 05 |" not in card
    for part in ("| f_05 | 0.8000 |", "| mae | 0.2000 |", "4 steps on synthetic", "## Limitations"):
        assert part in card


def test_no_pickle_and_not_the_released_weights(team):
    files = [path for path in team.files("1").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"MLmodel", "serving.py", "model.safetensors", "requirements.txt"}
    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt"}]
    assert not [path for path in files if path.read_bytes()[:2] in {b"\x80\x04", b"\x80\x05", b"PK"}]
    assert sum(path.name == "model.safetensors" for path in files) == 1


def test_pinned_requirements_are_what_it_imports(team):
    import sys
    from importlib.metadata import packages_distributions

    pins = (team.files("1") / "requirements.txt").read_text().split()
    assert set(pins) <= set(Path("requirements.txt").read_text().split())
    assert {pin.split("==")[0] for pin in pins} == NEEDED
    distributions, needed = packages_distributions(), set()
    for file in imported_at_all(ROOT / "pipelines/registry/serving.py"):
        for name in top_imports(file) - sys.stdlib_module_names - {"r2mrf", "pipelines"}:
            needed |= {distribution.lower() for distribution in distributions[name]}
    assert needed - {"mlflow-skinny", "mlflow-tracing"} <= NEEDED  # MLflow brings these two


def top_imports(path: Path) -> set[str]:
    """Packages that a file imports as it is loaded."""
    import ast

    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return {name.split(".")[0] for name in names}


@pytest.fixture
def _own_code() -> Iterator[None]:
    """Restore our packages after each test, since a loaded model brings its own copy of them."""
    ours = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in ("r2mrf", "pipelines")}
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("r2mrf", "pipelines")]:
        del sys.modules[name]
    sys.modules.update(ours)


@pytest.mark.usefixtures("_own_code")
def test_signature_and_example(team):
    info = mlflow.models.get_model_info("models:/r2mrf/1")
    assert info.signature.inputs.input_names() == ["image"]
    defaults = {param["name"]: param["default"] for param in info.signature.params.to_dict()}
    assert defaults == {"map": False, "view": "whole", "radius": False, "detail": False}
    model = mlflow.pyfunc.load_model("models:/r2mrf/1")
    answer = model.predict(model.input_example)
    optional = {"map", "radius", *DETAIL}
    assert set(answer.columns) == set(info.signature.outputs.input_names()) - optional
    assert answer["status"].tolist() == ["ok"]
    assert answer["content_sha256"].tolist() == [hashlib.sha256(model.input_example["image"][0]).hexdigest()]
    # some of MLflow's JSON forms leave base64 as it is
    text = base64.b64encode(model.input_example["image"][0])
    again = model.predict(pd.DataFrame({"image": [text, b"data:image/png;base64," + text, b"no photo"]}))
    assert again["status"].tolist() == ["ok", "ok", "failed"]


@pytest.mark.usefixtures("_own_code")
def test_view_radius_and_detail_are_parameters(team):
    rng = np.random.default_rng(0)
    photo = np.full((150, 200, 3), 255, np.uint8)  # a picture within a white border, of which nothing can be said
    photo[20:130, 20:180] = rng.integers(0, 128, (110, 160, 3))
    inner = photo[22:128, 22:178]
    table = pd.DataFrame({"image": [images.encode_png(photo), b"no photo"]})
    predictor, options = Predictor.load(str(team.files("1") / "artifacts/r2mrf")), Score(detail=True)
    model = mlflow.pyfunc.load_model("models:/r2mrf/1")
    good, bad = model.predict(table, params={"map": True, "view": "150", "radius": True, "detail": True}).to_dict(
        "records"
    )

    seen = images.decode_mask(base64.b64decode(good["map"]))
    expected = to_uint8(predictor(inner, 150)).astype(int)
    assert np.abs(seen[22:128, 22:178] - expected).max() <= 1
    assert seen[:22].max() == seen[:, 180:].max() == 0
    radius = cv2.imdecode(np.frombuffer(base64.b64decode(good["radius"]), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(radius[22:128, 22:178], to_hundredths(predictor.blur_radius(inner)))
    assert radius[:22].min() == UNKNOWN
    alone = record(predictor, table["image"][0], options)
    assert {name: good[name] for name in DETAIL} == {name: alone[name] for name in DETAIL}
    assert bad["status"] == "failed"
    assert {bad[name] for name in ("map", "radius", *DETAIL)} == {None}

    for params, says in (
        ({"map": True, "view": "half"}, "give whole, full, or"),
        ({"view": "full"}, "set map to true"),
    ):
        with pytest.raises(mlflow.MlflowException, match=says):
            model.predict(table, params=params)


@pytest.mark.usefixtures("_own_code")
def test_a_photo_too_large_for_windows_is_a_reason(team):
    table = pd.DataFrame({"image": [images.encode_jpeg(np.zeros((5001, 5000, 3), np.uint8))]})
    model = mlflow.pyfunc.load_model("models:/r2mrf/1")
    assert model.predict(table, params={"map": True})["status"].tolist() == ["ok"]
    (row,) = model.predict(table, params={"map": True, "view": "200"}).to_dict("records")
    assert (row["status"], row["map"], row["width"]) == ("failed", None, None)
    assert row["error"].startswith("too_large: 5000×5001 pixels")


# --- fetching it -----------------------------------------------------------------------------------------


def test_alias_is_resolved_to_a_version(team):
    sha256 = team.version("1").tags["model_sha256"]
    MlflowClient().set_registered_model_alias("r2mrf", "of-the-day", "1")
    model = resolve("models:/r2mrf@of-the-day")
    assert (model.name, model.version, model.sha256, model.uri) == ("r2mrf", "1", sha256, "models:/r2mrf/1")
    assert checkpoint.load(model.folder).sha256 == sha256
    MlflowClient().set_registered_model_alias("r2mrf", "of-the-day", "2")
    assert resolve(model.uri) == model
    assert resolve("models:/r2mrf@of-the-day").version == "2"
    assert Predictor.load(model.uri).checkpoint.sha256 == sha256


def test_a_version_is_fetched_once_and_a_damaged_copy_again(team, monkeypatch, tmp_path):
    monkeypatch.setenv("R2MRF_CACHE", str(tmp_path / "cache"))
    folder = resolve("models:/r2mrf/1").folder
    away = team.files("1").rename(tmp_path / "away")
    try:
        assert resolve("models:/r2mrf/1").folder == folder
    finally:
        away.rename(team.files("1"))
    (folder / "model.safetensors").write_bytes(b"damaged")
    sha256 = team.version("1").tags["model_sha256"]
    assert model_folder.content_hash(resolve("models:/r2mrf/1").folder) == sha256


@pytest.mark.parametrize("how", ["weights", "weights and the hash beside them", "another whole model"])
def test_tampered_files_are_refused(team, monkeypatch, tmp_path, how):
    monkeypatch.setenv("R2MRF_CACHE", str(tmp_path / "cache"))
    folder = team.files("1") / "artifacts/r2mrf"
    shutil.copytree(folder, tmp_path / "kept")
    try:
        if how == "another whole model":
            save_tiny_model(folder, seed=9)
        else:
            weights = bytearray((folder / "model.safetensors").read_bytes())
            weights[-1] ^= 1
            (folder / "model.safetensors").write_bytes(weights)
        if how == "weights and the hash beside them":
            facts = json.loads((folder / "model.json").read_text())
            facts["weights_sha256"] = hashlib.sha256(weights).hexdigest()
            (folder / "model.json").write_bytes(model_folder.facts_to_json(facts))
        with pytest.raises(CheckpointError, match=r"not the file that|not those that were registered"):
            Predictor.load("models:/r2mrf/1")
        assert not list((tmp_path / "cache").iterdir())
    finally:
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "kept", folder)


@pytest.mark.parametrize(("name", "tags"), [("by-hand", {}), ("by-foot", {models.HASH: "../.."})])
def test_version_without_a_hash(team, name, tags):
    MlflowClient().create_registered_model(name)
    MlflowClient().create_model_version(name, source=team.files("1").as_uri(), tags=tags)
    with pytest.raises(CheckpointError, match=f"models:/{name}/1: version 1 has no tag model_sha256"):
        resolve(f"models:/{name}/1")


@pytest.mark.parametrize(
    "uri", ["models:/nobody@champion", "models:/r2mrf@nobody", "models:/r2mrf/99", "models:/r2mrf", "models:/m-0123"]
)
def test_no_such_model(team, uri):
    with pytest.raises(CheckpointError) as caught:
        resolve(uri)
    assert str(caught.value).startswith(f"{uri}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["models:/r2mrf@nobody", "models:/r2mrf/99"])
def test_an_unknown_address_lists_the_existing_ones(team, uri):
    with pytest.raises(CheckpointError, match=r"r2mrf has @challenger \(\d\), @champion \(\d\).* versions 1, 2;"):
        resolve(uri)


def test_looking_makes_no_database(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/nowhere/mlflow.db")
    with pytest.raises(CheckpointError, match=r"the registry .*/nowhere/mlflow.db does not exist yet"):
        resolve("models:/r2mrf@champion")
    assert not list(tmp_path.iterdir())


def test_model_of_another_kind(team, monkeypatch, tmp_path):
    monkeypatch.setenv("R2MRF_CACHE", str(tmp_path))
    (tmp_path / "code.py").write_text("import mlflow\nmlflow.models.set_model(lambda model_input: model_input)\n")
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(name="other", python_model=str(tmp_path / "code.py"), pip_requirements=[])
    version = mlflow.register_model(info.model_uri, "other", tags={models.HASH: "0" * 64}).version
    with pytest.raises(CheckpointError, match="another kind of model"):
        resolve(f"models:/other/{version}")


def test_passwords_are_not_shown(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(CheckpointError) as caught:
        resolve("models:/r2mrf@champion")
    assert "127.0.0.1:9" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_that_is_none_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 1)  # it would wait for minutes
    (tmp_path / "mlflow.db").write_text("no database at all\n" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    given = load(ROOT / "params.yaml").tracking
    for ask in (lambda: runs.client(given), lambda: resolve("models:/r2mrf@champion")):
        with pytest.raises(UserError, match="file is not a database") as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_a_project_that_was_moved_finds_its_files(team, database, tmp_path, monkeypatch):
    new, files = tmp_path / "a b" / "project", team.root / "mlartifacts"
    new.mkdir(parents=True)
    shutil.copy(database / "mlflow.db", new)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{new}/mlflow.db")
    monkeypatch.setenv("R2MRF_CACHE", str(tmp_path / "cache"))
    files.rename(tmp_path / "elsewhere")
    try:
        with pytest.raises(CheckpointError, match=r"its files are gone: they were in .*mlartifacts.* beside "):
            resolve(f"models:/{team.name}@challenger")
        (new / "mlartifacts").symlink_to(tmp_path / "elsewhere")
        found = resolve(f"models:/{team.name}@challenger")
        assert model_folder.content_hash(found.folder) == found.sha256
    finally:
        (tmp_path / "elsewhere").rename(files)


@pytest.mark.parametrize("change", ["moved", "copied", "its database copied", "files elsewhere on purpose"])
def test_new_runs_of_a_project_that_was_moved(tmp_path, monkeypatch, change):
    """They keep their files in the project, and old runs have theirs if these came along."""
    old, new = tmp_path / "old", tmp_path / "new name"
    given = load(ROOT / "params.yaml").tracking
    old.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # so that it is as before afterwards
    monkeypatch.chdir(old)
    first = a_run(given)
    if change == "moved":
        old.rename(new)
    elif change == "copied":
        shutil.copytree(old, new)
    else:
        new.mkdir()
        shutil.copy(old / "mlflow.db", new)
        if change == "files elsewhere on purpose":
            (old / "mlflow.db").unlink()
    monkeypatch.chdir(new)
    second = a_run(given)
    client = MlflowClient()
    places = {"mlartifacts"} if change == "files elsewhere on purpose" else {"mlartifacts", "new%20name"}
    assert places <= set(client.get_run(second).info.artifact_uri.split("/"))
    assert (new / "mlartifacts" / second).is_dir() == (change != "files elsewhere on purpose")
    assert [file.path for file in client.list_artifacts(first)] == ["note.txt"]  # where the old project is, or here
    assert old.exists() == (change != "moved")


def a_run(given) -> str:
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow sets it
    client = runs.client(given)
    run = client.create_run(client.get_experiment_by_name(given.experiment).experiment_id).info.run_id
    client.log_text(run, "a", "note.txt")
    return run
