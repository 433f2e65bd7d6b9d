"""A scoring job: everything that the rows of one run depend on (model, engine, options), and its fingerprint."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.cluster.ray_cluster import in_a_job
from pipelines.project.tables import write_json
from pipelines.storage.addresses import Addresses
from r2mrf.config import Score
from r2mrf.engines import remembered
from r2mrf.engines.runtimes import RUNTIMES, Engine
from r2mrf.errors import UserError
from r2mrf.imaging.blur_scale import UNMEASURED, BlurScale
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network import model_folder
from r2mrf.prediction import record
from r2mrf.system import strict_json
from r2mrf.system.fingerprint import fingerprint
from r2mrf.system.machine import cores

if TYPE_CHECKING:  # code that only reads jobs does not need torch, which takes seconds and half a gigabyte
    from r2mrf.network.checkpoint import Checkpoint

ENGINES = "engines.json"  # file in the output folder: model -> the engines that its rows are made with


@dataclass(frozen=True)
class ScoringJob:
    """Everything that a worker needs to know.

    Attributes:
        files: the files of the model folder by name; sent along, because a worker's machine may not have them.
        model, sha256: name (models:/NAME/VERSION for a registered model) and content hash, as in the rows.
        engine, precision: how the network is run, the same for all rows.
        addresses: reads files at addresses.
        blur_scale: the model's blur scale, for --detail.
        int8_sha256: hash of the model's int8 form, if it has one.
        graph: the network as ONNX, once the job is `prepared`, so that no worker has to write it.
    """

    files: dict[str, bytes] = field(repr=False)
    model: str
    sha256: str
    preprocess: Preprocess
    options: Score
    engine: str
    precision: str
    addresses: Addresses
    blur_scale: BlurScale = UNMEASURED
    graph: bytes = field(default=b"", repr=False)
    int8_sha256: str = ""

    @classmethod
    def of(cls, name: str, options: Score, addresses: Addresses) -> ScoringJob:
        """Load a model by name and pin a registry alias to its current version. An engine or precision of `auto` stays
        undecided; see `with_engine`.

        Raises:
            CheckpointError: there is no such model, or it cannot be used.
        """
        registered = None
        if name.startswith("models:/"):
            from pipelines.registry import models

            registered = models.resolve(name)
        folder = registered.folder if registered else model_folder.locate(name)
        said = model_folder.describe(files := model_folder.read(folder), folder)
        if not remembered.is_sound(said.sha256):  # otherwise torch, which takes seconds to import, may not be needed
            from r2mrf.engines import choose
            from r2mrf.network import checkpoint as checkpoints

            choose.check(checkpoints.parse(files, folder))
            remembered.note_sound(said.sha256)
        return cls(
            files,
            registered.uri if registered else said.name,
            said.sha256,
            said.preprocess,
            options,
            options.engine,
            options.precision,
            addresses,
            said.blur_scale,
            int8_sha256=hashlib.sha256(said.int8).hexdigest() if said.int8 else "",
        )

    @property
    def fingerprint(self) -> str:
        """16 hex digits over everything that changes a number in a row; part of the names of the shards."""
        detail = [self.blur_scale.to_dict()] if self.options.detail else []
        options = self.options.max_pixels, self.options.maps, *detail
        # the same model may be calibrated on other photos
        form = [self.int8_sha256] if self.precision == "int8" else []
        return fingerprint(self.sha256, record.VERSION, self.engine, self.precision, *options, *form)[:16]

    def checkpoint(self) -> Checkpoint:
        """Return the model itself."""
        from r2mrf.network import checkpoint as checkpoints

        return checkpoints.parse(self.files, self.model)

    def prepared(self) -> ScoringJob:
        """Return the job with the graph that workers start the engine from.

        Raises:
            GraphError: the network cannot be converted for the engine.
        """
        if self.engine not in RUNTIMES:
            return self
        if self.precision != "int8":
            graph = remembered.graph(self.sha256, self._graph)
        else:  # without an int8 form, there is an error to raise
            graph = self.files[model_folder.INT8] if self.int8_sha256 else self._graph()
        return replace(self, files={}, graph=graph)

    def _graph(self) -> bytes:
        from r2mrf.engines.onnx_graph import graph_for

        return graph_for(self.checkpoint(), self.precision)

    def start(self, threads: int) -> Engine:
        """Start the engine of a `prepared` job on this machine."""
        if runtime := RUNTIMES.get(self.engine):
            return runtime(self.graph, threads, self.preprocess.size, self.precision)
        from r2mrf.engines import choose

        return choose.create(self.engine, self.checkpoint(), threads, self.precision)


def shares(options: Score, cpus: int, gpus: int = 0) -> tuple[int, int]:
    """Return (copies of the network, threads per copy).

    Several single-threaded copies idle less than one multi-threaded copy, and leave cores to the readers.
    """
    actors = options.actors or gpus or max(cpus - cpus // 4, 1)
    return actors, max(cpus // actors, 1)


def with_recorded_engine(job: ScoringJob, out: Path) -> ScoringJob:
    """Return the job with the engine and precision that its model's rows in `out` were made with, if they fit."""
    for engine, precision in _record(out).get(job.sha256, []):
        if job.engine in ("auto", engine) and job.precision in ("auto", precision):
            return replace(job, engine=engine, precision=precision)
    return job


def without_trial(job: ScoringJob) -> ScoringJob:
    """Return the job with `auto` replaced by torch and fp32, which every machine has, or by OpenVINO for int8."""
    engine = {"int8": "openvino"}.get(job.precision, "torch") if job.engine == "auto" else job.engine
    return replace(job, engine=engine, precision="fp32" if job.precision == "auto" else job.precision)


def with_engine(job: ScoringJob, out: Path) -> ScoringJob:
    """Return the job with its engine and precision decided, always the same for one folder and model, so rows compare.

    `auto` becomes the fastest combination in a short trial on this machine; on a cluster, whose machines may differ, it
    becomes torch and fp32.
    """
    if "auto" in (job.engine, job.precision):
        job = with_recorded_engine(job, out)
    if "auto" not in (job.engine, job.precision):
        return job
    if in_a_job():
        return without_trial(job)
    choice = _remembered_choice(job) or _tried(job)
    record = _record(out)
    write_json(out / ENGINES, record | {job.sha256: [*record.get(job.sha256, []), choice]})
    return replace(job, engine=choice[0], precision=choice[1])


def _remembered_choice(job: ScoringJob) -> list[str] | None:
    """Return the engine and precision that an earlier trial has chosen on this machine."""
    if choice := remembered.choice(*_asked(job)):
        print(f"engine: {' '.join(choice)}, as in an earlier trial", file=sys.stderr)
    return [*choice] if choice else None


def _tried(job: ScoringJob) -> list[str]:
    """Return the engine and precision that a trial chooses, and remember them."""
    from r2mrf.engines import choose

    trial = choose.fastest(job.checkpoint(), _threads(job), job.engine, job.precision)
    print(f"engine: {trial}", file=sys.stderr)
    choice = [trial.engine.name, trial.engine.precision]
    remembered.note_choice(*choice, *_asked(job))
    if trial.graph:
        remembered.note_graph(job.sha256, trial.graph)
    return choice


def _asked(job: ScoringJob) -> list:
    """Return all that the outcome of a trial on this machine depends on."""
    return [job.sha256, job.int8_sha256, job.engine, job.precision, _threads(job)]


def _threads(job: ScoringJob) -> int:
    return shares(job.options, cores())[1]


def _record(out: Path) -> dict[str, list[list[str]]]:
    """Return the pairs of engine and precision that rows in `out` were made with, by the model's hash."""
    damaged = UserError(f"{out / ENGINES} is damaged: remove it, and give the --engine named in summary.json")
    try:
        record = strict_json.parse_object((out / ENGINES).read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise damaged from None
    # version 0.1 wrote a single pair per model
    lists = {model: [pairs] if _is_pair(pairs) else pairs for model, pairs in record.items()}
    if not all(isinstance(pairs, list) and all(map(_is_pair, pairs)) for pairs in lists.values()):
        raise damaged
    return lists


def _is_pair(value: object) -> bool:
    """Return whether the value is the name of an engine and that of a precision."""
    return isinstance(value, list) and len(value) == 2 and all(isinstance(name, str) for name in value)
