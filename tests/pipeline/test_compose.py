"""Check infra/compose.yaml without Docker: ports, secrets, options, pins."""

import re
import subprocess
from pathlib import Path

import click
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "infra/compose.yaml").read_text()
SERVICES = yaml.safe_load(TEXT)["services"]


def test_only_mlflow_is_reached_and_only_from_this_machine():
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "mlflow": ["127.0.0.1:5000:5000"]
    }


def test_services_wait_for_services_that_are_there():
    for service in SERVICES.values():
        assert set(service.get("depends_on", [])) <= set(SERVICES)


def test_every_password_comes_from_outside():
    secret = re.compile(r"PASSWORD|SECRET|URI")
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if secret.search(name):
                assert ":?run make secrets first}" in value


def test_options_of_the_server_are_there():
    from mlflow.cli import cli

    program, command, *options = SERVICES["mlflow"]["command"]
    assert (program, command) == ("mlflow", "server")
    known = {name for option in cli.get_command(click.Context(cli), command).params for name in option.opts}
    assert {option.split("=")[0] for option in options} <= known


def test_images_are_of_one_version_and_packages_are_pinned():
    assert all(":" in service["image"] for service in SERVICES.values() if "image" in service)
    pinned = {line.split("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()}
    (install,) = re.findall(r"pip install --no-cache-dir --constraint /pins.txt (.*)", TEXT)
    assert {name.strip("'").split("[")[0] for name in install.split()} <= pinned


def test_secrets_are_made_once_and_for_their_owner_only(tmp_path):
    (tmp_path / "infra").mkdir()
    path, made = tmp_path / "infra/.env", []
    for _ in range(2):
        subprocess.run(["make", "-s", "-f", ROOT / "Makefile", "secrets"], cwd=tmp_path, check=True)
        made.append(path.read_text())
    assert made[0] == made[1]
    values = dict(line.split("=") for line in made[0].splitlines())
    assert path.stat().st_mode & 0o777 == 0o600
    assert values.keys() == set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in values.values())
    assert len(set(values.values())) == 2


def test_git_does_not_take_them():
    assert subprocess.run(["git", "check-ignore", "-q", "infra/.env"], cwd=ROOT, check=False).returncode == 0
