"""Check infra/ without a cluster: fields, versions, commands, and which pods may be evicted.

The schemas hold those fields of KubeRay 1.6 and Kubernetes that are used here; any other field is an error.
"""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from r2mrf.config import load

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
KUBERAY = INFRA / "kuberay"
PINS = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().split())
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
DOCKERFILE = (INFRA / "Dockerfile").read_text()
JOBS = ("train", "tune", "score")


def thing(required: str = "", **properties) -> dict:
    """Return the schema of an object with these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def many(items: dict) -> dict:
    return {"type": "array", "items": items, "minItems": 1}


TEXT, FLAG, COUNT = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 0}
TEXTS = {"type": "object", "additionalProperties": TEXT}
QUANTITIES = {"type": "object", "additionalProperties": {"type": "string", "pattern": r"^\d+(m|Mi|Gi)?$"}}
RESOURCES = thing("requests limits", requests=QUANTITIES, limits=QUANTITIES)
MOUNT = thing("name mountPath", name=TEXT, mountPath=TEXT, subPath=TEXT, readOnly=FLAG)
CONTAINER = thing(
    "name image resources",
    name=TEXT,
    image=TEXT,
    resources=RESOURCES,
    securityContext=thing(allowPrivilegeEscalation=FLAG, capabilities=thing(drop=many(TEXT))),
    envFrom=many(thing(secretRef=thing("name", name=TEXT, optional=FLAG))),
    volumeMounts=many(MOUNT),
)
VOLUME = thing(
    "name",
    name=TEXT,
    configMap=thing("name", name=TEXT),
    emptyDir=thing(medium={"enum": ["Memory"]}, sizeLimit=TEXT),
    persistentVolumeClaim=thing("claimName", claimName=TEXT),
)
TOLERATION = thing(key=TEXT, operator={"enum": ["Exists", "Equal"]}, value=TEXT, effect={"enum": ["NoSchedule"]})
POD = thing(
    "containers",
    containers=many(CONTAINER),
    volumes=many(VOLUME),
    tolerations=many(TOLERATION),
    terminationGracePeriodSeconds=COUNT,
    securityContext=thing(runAsNonRoot=FLAG, runAsUser=COUNT, fsGroup=COUNT),
)
CLUSTER = thing(
    "rayVersion headGroupSpec workerGroupSpecs",
    rayVersion=TEXT,
    authOptions=thing("mode", mode={"enum": ["token", "disabled"]}, secretName=TEXT),
    enableInTreeAutoscaling=FLAG,
    autoscalerOptions=thing(idleTimeoutSeconds=COUNT, resources=RESOURCES),
    headGroupSpec=thing("rayStartParams template", rayStartParams=TEXTS, template=thing("spec", spec=POD)),
    workerGroupSpecs=many(
        thing(
            "groupName minReplicas maxReplicas template",
            groupName=TEXT,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            rayStartParams=TEXTS,
            template=thing("spec", spec=POD),
        )
    ),
)
JOB = thing(
    "entrypoint rayClusterSpec",
    entrypoint=TEXT,
    activeDeadlineSeconds=COUNT,
    backoffLimit=COUNT,
    shutdownAfterJobFinishes=FLAG,
    ttlSecondsAfterFinished=COUNT,
    rayClusterSpec=CLUSTER,
)


def resource(kind: str, spec: dict) -> dict:
    named = thing("name", name={"type": "string", "pattern": "^[a-z0-9-]{1,47}$"})  # KubeRay puts more behind it
    return thing(
        "apiVersion kind metadata spec",
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=named,
        spec=spec,
    )


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def cluster() -> dict:
    """Return the RayCluster as it is applied."""
    (image,) = read(KUBERAY / "cluster/kustomization.yaml")["images"]
    made = json.loads(json.dumps(read(KUBERAY / "cluster/raycluster.yaml")))  # what YAML anchors share, apart
    for pod in pods(made["spec"]).values():
        for container in pod["containers"]:
            assert container["image"] == image["name"]
            container["image"] = f"{image['newName']}:{image['newTag']}"
    return made


def job(name: str) -> dict:
    """Return a RayJob as it is applied: with the cluster's spec, then its own patches."""
    made = read(KUBERAY / name / "rayjob.yaml")
    made["spec"]["rayClusterSpec"] = cluster()["spec"]
    for entry in read(KUBERAY / name / "kustomization.yaml")["patches"]:
        if "target" in entry:
            for operation in yaml.safe_load(entry["patch"]):
                patch(made, **operation)
    return made


def patch(values: dict, op: str, path: str, value: object) -> None:
    """Apply a JSON Patch, as far as it is used here."""
    *way, last = path.strip("/").split("/")
    for key in way:
        values = values[int(key)] if isinstance(values, list) else values[key]
    if op == "add":
        assert last == "-"
        values.append(value)
    else:
        assert op == "replace"
        assert last in values
        values[last] = value


def pods(spec: dict) -> dict[str, dict]:
    """Return the specs of the pods by group; the head's is "head"."""
    groups = {group["groupName"]: group["template"]["spec"] for group in spec["workerGroupSpecs"]}
    return {"head": spec["headGroupSpec"]["template"]["spec"]} | groups


def test_the_cluster_has_fields_that_kuberay_knows():
    jsonschema.validate(cluster(), resource("RayCluster", CLUSTER))


@pytest.mark.parametrize("name", JOBS)
def test_a_job_has_fields_that_kuberay_knows(name):
    jsonschema.validate(job(name), resource("RayJob", JOB))


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed here")
@pytest.mark.parametrize("name", ["cluster", *JOBS])
def test_kubectl_makes_the_same_of_it(name):
    command = ["kubectl", "kustomize", str(KUBERAY / name)]
    made = yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    by_kind = {manifest["kind"]: manifest for manifest in made}
    expected = cluster() if name == "cluster" else job(name)
    assert by_kind.pop(expected["kind"]) == expected
    assert set(by_kind) == {"ConfigMap"} | ({"PersistentVolumeClaim"} if name == "score" else set())


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_a_stage_that_exists(name):
    module = re.fullmatch(r"python -m (pipelines\.\w+)", job(name)["spec"]["entrypoint"])[1]
    assert module == f"pipelines.{name}"
    assert importlib.util.find_spec(module)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_tried_again_ends_and_leaves_nothing_that_costs(name):
    spec = job(name)["spec"]
    assert spec["backoffLimit"] > 0
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["shutdownAfterJobFinishes"]
    assert spec["ttlSecondsAfterFinished"] > 0


@pytest.mark.parametrize("name", ["cluster", *JOBS])
def test_only_workers_may_run_where_machines_are_taken_away(name):
    spec = cluster()["spec"] if name == "cluster" else job(name)["spec"]["rayClusterSpec"]
    head, *workers = pods(spec).values()
    assert "tolerations" not in head
    assert all(worker["tolerations"] for worker in workers)
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert spec["authOptions"]["mode"] == "token"


@pytest.mark.parametrize("name", ["cluster", *JOBS])
def test_pods_run_the_image_without_root_and_mounts_have_volumes(name):
    spec = cluster()["spec"] if name == "cluster" else job(name)["spec"]["rayClusterSpec"]
    assert spec["rayVersion"] == PINS["ray"]
    home = re.search(r"^WORKDIR (\S+)$", DOCKERFILE, re.M)[1]
    user = int(re.search(r"^USER (\d+)$", DOCKERFILE, re.M)[1])
    for pod in pods(spec).values():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == user > 0
        (container,) = pod["containers"]
        assert re.fullmatch(rf"\S+/r2mrf:{re.escape(VERSION)}-(cuda|cpu)", container["image"])
        assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert f"{home}/params.yaml" in paths
        assert all(path.startswith((f"{home}/", "/home/r2mrf/", "/dev/shm")) for path in paths)
        assert container["resources"]["requests"] == container["resources"]["limits"]


@pytest.fixture
def params(tmp_path):
    """Return the configuration inside a pod."""
    shutil.copy(ROOT / "params.yaml", tmp_path / "defaults.yaml")
    shutil.copy(KUBERAY / "cluster/params.yaml", tmp_path / "params.yaml")
    assert "cp params.yaml defaults.yaml" in DOCKERFILE
    return load(tmp_path / "params.yaml")


def test_state_outlives_a_cluster(params):
    for address in (params.storage, params.tracking.states):
        assert address.startswith("s3://")
    assert params.tracking.uri.startswith("http")


@pytest.mark.parametrize("name", ["train", "tune"])
def test_there_are_as_many_gpus_as_training_workers(params, name):
    (group,) = [g for g in job(name)["spec"]["rayClusterSpec"]["workerGroupSpecs"] if g["groupName"] == "gpu"]
    (container,) = group["template"]["spec"]["containers"]
    gpus = int(container["resources"]["limits"]["nvidia.com/gpu"]) * group["minReplicas"]
    assert params.profile == "paper"
    assert gpus == params.train.most_workers <= group["maxReplicas"]
    assert group["replicas"] == group["minReplicas"]


def compose_errors(file: Path) -> str:
    """Return what is wrong with a Compose file by the Compose specification; empty if nothing is."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("name", ["compose.yaml", "serving/compose.yaml"])
def test_compose_files_follow_the_specification(name):
    assert not compose_errors(INFRA / name)


def test_a_misspelt_field_of_a_compose_file_is_found(tmp_path):
    text = (INFRA / "compose.yaml").read_text()
    (tmp_path / "compose.yaml").write_text(text.replace("service_healthy", "healthy"))
    assert "healthy" in compose_errors(tmp_path / "compose.yaml")


def test_the_ray_up_file_is_one_that_ray_takes():
    ray = pytest.importorskip("ray")
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = read(INFRA / "ray.yaml")
    jsonschema.validate(config, json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text()))
    validate_config(prepare_config(config))


def test_the_ray_up_file_keeps_the_head_and_pays_little_for_workers():
    config = read(INFRA / "ray.yaml")
    types = config["available_node_types"]
    head = types.pop(config["head_node_type"])
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["resources"] == {"CPU": 0}
    for worker in types.values():
        assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert worker["max_workers"] <= config["max_workers"]
    assert re.fullmatch(rf"\S+/r2mrf:{re.escape(VERSION)}-cuda", config["docker"]["image"])
    assert "--env RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    (token,) = config["file_mounts"]
    assert token == "/home/r2mrf/.ray/auth_token"
    assert "--create-home --uid 1000 r2mrf" in DOCKERFILE


def test_every_value_that_a_user_must_change_is_marked():
    invented = re.compile(
        r"registry\.example\.com|BUCKET|mlflow:5000|storageClassName: shared|InstanceType: [cg]|us-east-1"
    )
    files = [*KUBERAY.rglob("*.yaml"), INFRA / "ray.yaml"]
    lines = [(file, line) for file in files for line in file.read_text().splitlines()]
    assert not [(file, line) for file, line in lines if invented.search(line) and "CHANGE" not in line]


def test_the_image_without_cuda_leaves_out_cuda_and_nothing_else():
    pattern = re.search(r"grep -vE '([^']+)'", DOCKERFILE)[1]
    left_out = {name for name in PINS if re.match(pattern, name)}
    assert {"torch", "torchvision", "ray"} <= PINS.keys() - left_out
    assert left_out == {name for name in PINS if re.search("nvidia|cuda|triton", name)}


def test_the_image_has_what_runs_and_the_python_that_the_project_asks_for():
    python = set(re.findall(r"^FROM python:(\d+\.\d+)\.\d+-slim", DOCKERFILE, re.M))
    assert python == {"3.11"}
    assert "-r /tmp/requirements.txt" in DOCKERFILE
    copied = {name for line in re.findall(r"^COPY --chown=r2mrf (.+) \S+$", DOCKERFILE, re.M) for name in line.split()}
    allowed = {line[1:] for line in (INFRA / "Dockerfile.dockerignore").read_text().split() if line.startswith("!")}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
