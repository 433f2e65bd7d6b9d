"""The servers of a team, on loopback, started and stopped by these tests: PostgreSQL, S3, MLflow."""

import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.object_store import endpoint
from tests.support.server import answers, free_port, running
from tests.support.workspace import Workspace

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Store:
    """An S3-compatible store with a bucket."""

    endpoint: str
    bucket: str
    keys: dict[str, str]

    def names(self, prefix: str) -> list[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def client(self):
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.keys["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    keys = {"AWS_ACCESS_KEY_ID": "team", "AWS_SECRET_ACCESS_KEY": secrets.token_hex()}
    with endpoint() as address:
        store = Store(f"http://{address}", "team", keys)
        store.client().create_bucket(Bucket=store.bucket)
        yield store


@dataclass(frozen=True)
class Database:
    address: str
    password: str

    def ask(self, query: str) -> list[tuple]:
        import psycopg

        with psycopg.connect(self.address) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    places = [*os.environ["PATH"].split(":"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]
    found = [shutil.which(name, path=":".join(places)) for name in ("initdb", "postgres")]
    if None in found:
        pytest.skip("PostgreSQL is not installed here (Debian: apt-get install postgresql)")
    initdb, postgres = map(os.path.realpath, found)
    owner = {}
    if os.geteuid() == 0:  # which PostgreSQL refuses
        users = {user.pw_name for user in pwd.getpwall()} & {"postgres", "nobody"}
        if not users:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
        owner = {"user": max(users), "group": pwd.getpwnam(max(users)).pw_gid, "extra_groups": []}
    password, port = secrets.token_hex(), free_port()
    with tempfile.TemporaryDirectory(prefix="r2mrf-pg-") as folder:  # the tests' own is closed to other users
        home = Path(folder)
        (home / "password").write_text(password)
        if owner:
            for path in (home, home / "password"):
                shutil.chown(path, owner["user"])
        command = [initdb, "-D", f"{home}/data", "-U", "mlflow", "-A", "scram-sha-256", "--pwfile", f"{home}/password"]
        subprocess.run([*command, "--no-sync"], check=True, capture_output=True, cwd=home, **owner)
        address = f"postgresql://mlflow:{password}@127.0.0.1:{port}/postgres"
        database = Database(address, password)

        def ready() -> bool:
            import psycopg

            try:
                return database.ask("select 1") == [(1,)]
            except psycopg.OperationalError:
                return False

        command = [postgres, "-D", f"{home}/data", "-k", str(home), "-h", "127.0.0.1", "-p", str(port), "-F"]
        with running(command, ready, home / "log", cwd=home, **owner):
            yield database


@dataclass(frozen=True)
class Tracking:
    address: str
    log: Path


@pytest.fixture(scope="session")
def tracking(database, store, tmp_path_factory) -> Iterator[Tracking]:
    """Start MLflow as a team runs it: runs and registry in PostgreSQL, files in S3, whose keys only the server has."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    env = os.environ | store.keys | {"MLFLOW_S3_ENDPOINT_URL": store.endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    env |= {"MLFLOW_BACKEND_STORE_URI": database.address}  # not an argument: those of a process are seen by everyone
    env |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # of language models' judges
    command = [f"{BIN}/mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--artifacts-destination", f"s3://{store.bucket}/mlflow"]
    address = f"http://127.0.0.1:{port}"
    with running(command, lambda: answers(f"{address}/health"), folder / "log", env=env, cwd=folder):
        yield Tracking(address, folder / "log")


@pytest.fixture(scope="session")
def team(tracking, store, tmp_path_factory) -> Workspace:
    """Run `dvc repro` of every stage against these servers, from a fresh clone, with nothing but addresses set."""
    space = Workspace(tmp_path_factory.mktemp("team"))
    states = f"s3://{store.bucket}/states?scheme=http&endpoint_override={store.endpoint.removeprefix('http://')}"
    space.set({"tracking": {"uri": tracking.address, "states": f"{states}&region=us-east-1"}})
    space.env |= store.keys
    space.run("git", "init", "-q")
    space.run("dvc", "remote", "add", "--default", "team", f"s3://{store.bucket}/dvc")
    space.run("dvc", "remote", "modify", "team", "endpointurl", store.endpoint)
    commit(space, "start")
    space.said = space.run("dvc", "repro")
    commit(space, "what was made")
    return space


def commit(space: Workspace, message: str) -> None:
    space.run("git", "add", "-A")
    space.run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", message)
