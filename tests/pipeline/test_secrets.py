"""A hundred addresses with planted secrets go through every command and stage, and no secret is shown or stored."""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.cluster import ray_cluster
from pipelines.cluster.supervised import supervised
from pipelines.command.cli import main
from pipelines.library.walk import Library
from pipelines.project import stage
from pipelines.registry import models
from pipelines.storage import http
from r2mrf.config import ConfigError, load
from r2mrf.errors import UserError
from r2mrf.system.address import redacted
from tests.support.photos import save_photo
from tests.support.scored_folder import ok, save_table
from tests.support.secrets import PLANTED, assert_nowhere, planted
from tests.support.web import web_server

ROOT = Path(__file__).parents[2]
each_address = pytest.mark.parametrize(("text", "secret"), PLANTED, ids=range(len(PLANTED)))


def run(*arguments: object) -> tuple[int, str]:
    """Run `r2mrf`; return its exit status and all its output."""
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse's
            status = int(end.code or 0)
    out.flush()
    return status, out.buffer.getvalue().decode() + err.getvalue()  # type: ignore[attr-defined]


# --- commands --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    return save_photo(tmp_path_factory.mktemp("photos") / "a.jpg")


@each_address
def test_where_a_command_takes_no_address(photo, tmp_path, text, secret):
    out = tmp_path / "out"
    commands = [
        [text],
        ["map", text],
        ["map", photo, "-o", text],
        ["map", photo, "-o", out, "--model", text],
        ["map", photo, "--view", text],
        ["score", photo, "--out", text],
        ["score", photo, "--out", out, "--dry-run", "--model", text],
        ["score", photo, "--out", out, "--dry-run", "--exclude", text, "--model", "nowhere"],
        ["score", photo, "--out", out, "--engine", text],
        ["score", photo, "--out", out, "--from", text],
        ["report", text],
        ["report", out, "--csv", text],
        ["report", out, "--fetch", text, "--list", text],
        ["evaluate", "--maps", text, "--masks", text, "--json", text],
        ["export", "--format", "onnx", "-o", text],
        ["export", "--format", "onnx", "-o", out, "--model", text],
        ["export", "--precision", "int8", "--calibrate", text],
    ]
    for command in commands:
        status, said = run(*command)
        assert status == 2
        assert "this is a bug" not in said, command
        assert_nowhere(secret, said)
    assert not out.exists()


def test_sources_that_cannot_be_read(monkeypatch):
    monkeypatch.setattr(http, "SILENCE", 0.5)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # of the client of S3, which tries for six seconds
    nobody = {"s3": "endpoint_override=127.0.0.1:1&region=us-east-1&scheme=http",
              "gs": "endpoint_override=127.0.0.1:1&scheme=http&retry_limit_seconds=0.1"}  # fmt: skip

    def refused(text: str, secret: str) -> None:
        options = nobody.get(text[:2].lower(), "")
        with pytest.raises(UserError) as caught:
            Library([f"{text}{'&' if '?' in text else '?'}{options}" if options else text])
        assert_nowhere(secret, caught.value, repr(caught.value))

    with ThreadPoolExecutor(len(PLANTED)) as pool:
        list(pool.map(refused, *zip(*PLANTED, strict=True)))


def parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


UNUSABLE = {
    "/utf16.txt": "a.jpg".encode("utf-16"),
    "/empty.txt": b"",
    "/no-paths.csv": b"a,b\n1,2\n",
    "/twice.csv": b"path,path\na,b\n",
    "/ragged.csv": b"path\na,b\nc\n",
    "/sizes.csv": b"path,size\na.jpg,large\n",
    "/cut.parquet": b"PAR1 and no more",
    "/no-paths.parquet": parquet(pa.table({"x": [1]})),
    "/no-photo.parquet": parquet(pa.table({"path": pa.array([], pa.string())})),
}


def test_tables_at_an_address_that_cannot_be_used():
    with web_server(UNUSABLE) as server:
        for seed, name in enumerate(list(UNUSABLE) * (len(PLANTED) // len(UNUSABLE) + 1)):
            text, secret = planted(seed, server, name[1:])
            with pytest.raises(UserError, match=name) as caught:
                Library([text])
            assert_nowhere(secret, caught.value, repr(caught.value))


def test_a_table_that_holds_addresses_as_they_are(tmp_path):
    """Read a table of version 0.1, which could store secrets: page, tables, lists and sidecars show none of them."""
    save_table(tmp_path / "scored", [ok(text, verdict="blurred", blur=0.9) for text, _ in PLANTED])
    made = tmp_path / "made"
    made.mkdir()
    status, said = run(
        *("report", tmp_path / "scored", "-o", made / "page.html", "--csv", made / "t.csv", "--link-into", made / "l"),
        *("--exiftool", made / "e.csv", "--xmp", made / "xmp", "--list", "blurred"),
    )
    assert status in (0, 1)
    texts = [file.read_text() for file in made.rglob("*") if file.is_file() and not file.is_symlink()]
    names = [str(file) for file in made.rglob("*")]
    for _, secret in PLANTED:
        assert_nowhere(secret, said, names, *texts)


def content_of(file: Path) -> str:
    rows = pq.read_table(file).to_pylist() if file.suffix == ".parquet" else ""
    return f"{rows}{file.read_bytes().decode('latin-1')}"


def by_ray(_: str, *arguments: object, report: Callable) -> dict:
    """Score in a child process as `score` does, but with Ray, which so few photos would not start."""
    return supervised("tests.support.scoring:by_ray", *arguments, report=report)


def test_a_whole_run(tiny_model, photo, tmp_path, monkeypatch):
    """Search rows, page, messages, and the files in Ray's own folder."""
    (tmp_path / "list.txt").write_text("\n".join([str(photo), *(text for text, _ in PLANTED)]))
    out, page = tmp_path / "out", tmp_path / "out/report.html"
    with tempfile.TemporaryDirectory(prefix="r") as rays:  # a short name: sockets lie below it
        monkeypatch.setenv("RAY_TMPDIR", rays)
        monkeypatch.setattr("pipelines.scoring.supervised_run.supervised", by_ray)
        command = ("score", tmp_path / "list.txt", "--out", out, "--model", tiny_model, "--engine", "torch")
        status, said = run(*command, "--maps", "--report", "--allow", "http://*.example.org")
        assert (status, said.count("not_allowed")) == (1, len(PLANTED))
        rays_files = [file for file in Path(rays).rglob("*") if file.is_file() and file.stat().st_size < 1 << 24]
        assert len(rays_files) > 10
        texts = [content_of(file) for file in [*out.rglob("*"), *rays_files] if file.is_file()]
    assert page.is_file()
    for _, secret in PLANTED:
        assert_nowhere(secret, said, *texts)


# --- stages ----------------------------------------------------------------------------------------------


def everywhere(values: object, text: str) -> object:
    """Return parameters with one text in the place of each value."""
    return {key: everywhere(value, text) for key, value in values.items()} if isinstance(values, dict) else text


@each_address
def test_parameters_refuse_a_secret_and_do_not_show_it(tmp_path, text, secret):
    """Refuse it: DVC would write it into dvc.lock, MLflow into its database, and Ray would send it to workers."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    file = tmp_path / "params.yaml"
    for content in (
        yaml.safe_dump(everywhere(params, text)),
        yaml.safe_dump(params | {text: text}),
        yaml.safe_dump({"base": text}),
        f"storage: {{{text}\nx: [",
        f'storage: "{text}"\n  x: {text}: y',
    ):
        file.write_text(content)
        with pytest.raises(ConfigError) as caught:
            load(file)
        assert_nowhere(secret, caught.value, repr(caught.value))
    strings = [key for key, value in params["tracking"].items() if isinstance(value, str)]
    file.write_text(yaml.safe_dump(everywhere(params, text)))
    with pytest.raises(ConfigError) as caught:
        load(file)
    for key in ("storage", "data.root", "lite.train.start", "score.source", *(f"tracking.{key}" for key in strings)):
        assert f"{key}: it holds a password" in str(caught.value)


@each_address
def test_what_a_stage_says(monkeypatch, capsys, text, secret):
    def fail(_: object) -> None:
        raise OSError(5, f"no answer from {text} (tried twice)")

    def refuse(_: object) -> None:
        raise UserError(f"{text}: not there")

    monkeypatch.chdir(ROOT)
    for work in (fail, refuse):
        with pytest.raises(SystemExit, match="2"):
            stage.run(work)
    monkeypatch.setenv("RAY_ADDRESS", text)
    with pytest.raises(UserError) as caught:
        ray_cluster.in_a_job()
    assert_nowhere(secret, *capsys.readouterr(), caught.value)


@each_address
def test_the_address_of_a_tracking_server(monkeypatch, text, secret):
    """Check the address that MLflow prints at the end of a run."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", text)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    address = models.address()
    assert_nowhere(secret, redacted(f"tracking server {address} does not answer"))
    if text.lower().startswith("http") and "user:" in text:
        assert_nowhere(secret, address, os.environ["MLFLOW_TRACKING_URI"])
        assert os.environ["MLFLOW_TRACKING_USERNAME"] == "user"
        assert os.environ["MLFLOW_TRACKING_PASSWORD"] in (secret, models.unquote(secret))
