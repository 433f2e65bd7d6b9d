"""Check infra/serving without systemd, Docker and Kubernetes."""

import configparser
import shlex
from pathlib import Path

import click
import yaml

FOLDER = Path(__file__).parents[2] / "infra/serving"


def options_of(command: list[str]) -> dict[str, str]:
    """Return the options of `mlflow models serve` in a command, all of which must exist."""
    from mlflow.cli import cli

    assert command[0].rpartition("/")[2] == "mlflow"
    group = cli.get_command(click.Context(cli), "models")
    serve = group.get_command(click.Context(group), "serve")
    assert command[1:3] == ["models", "serve"]
    given = serve.make_context("serve", command[3:]).params
    assert given["model_uri"] == "models:/r2mrf@champion"
    assert given["env_manager"] == "local"
    return given


def test_systemd_starts_it_again_on_loopback_with_its_programs_in_reach():
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    text = (FOLDER / "r2mrf.service").read_text()
    unit.read_string(text)
    command = shlex.split(unit["Service"]["ExecStart"])
    given = options_of(command)
    assert (given["host"], unit["Service"]["Restart"]) == ("127.0.0.1", "always")
    assert f"Environment=PATH={Path(command[0]).parent}:" in text
    assert "MemoryMax=4G" in text


def test_compose_starts_it_again_and_publishes_it_to_this_machine():
    service = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["model"]
    assert options_of(service["command"])["port"] == 5001
    assert service["ports"] == ["127.0.0.1:5001:5001"]
    assert (service["restart"], service["mem_limit"]) == ("unless-stopped", "4g")
    assert service["depends_on"] == ["mlflow"]


def test_kubernetes_starts_it_again_where_it_does_not_answer():
    deployment, service = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert options_of([*container["command"], *container["args"]])["port"] == container["ports"][0]["containerPort"]
    assert pod["restartPolicy"] == "Always"
    assert container["livenessProbe"]["httpGet"]["path"] == "/ping"
    assert container["resources"]["limits"]["memory"] == "4Gi"
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
