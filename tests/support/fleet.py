"""A Ray cluster of real processes on this machine: a head and worker nodes that can be killed one by one.

    with Fleet(nodes=2) as fleet:
        job = fleet.submit("python", "-m", "pipelines.train", cwd=project)
        fleet.kill(1)
        fleet.add()
        assert job.wait() == 0

Only what was started here is ever ended, by pid. Nodes have loopback addresses, and whoever connects must show a token.
"""

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE = 240  # seconds in which something must happen on a busy machine
HEAD = "127.0.0.2"
ATTEMPTS = 3


class Fleet:
    """A head that runs drivers only, and `nodes` machines of `cpus` logical CPUs.

    Args:
        environment: what all their processes see besides.
    """

    def __init__(self, nodes: int = 2, cpus: int = 2, environment: dict[str, str] | None = None):
        self.nodes, self.cpus, self.environment = nodes, cpus, environment or {}

    def __enter__(self) -> "Fleet":
        self.root = Path(tempfile.mkdtemp(prefix="fleet-"))  # 0700, and short: sockets lie in it
        self.port, self.dashboard = free_port(), free_port()
        self.processes: list[subprocess.Popen] = []  # head first
        self._seen: dict[int, psutil.Process] = {}
        token = self.root / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        self.env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_prestart_worker_first_driver": "0",  # two cores start one worker at a time
            "OMP_NUM_THREADS": "1",
            **self.environment,
        }
        self.env.pop("RAY_ADDRESS", None)
        try:
            self._start(
                *("--head", f"--port={self.port}", "--num-cpus=0", f"--ray-client-server-port={free_port()}"),
                *("--dashboard-host=127.0.0.1", f"--dashboard-port={self.dashboard}"),
            )
            for _ in range(self.nodes):
                self.add()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """The address to which jobs are submitted."""
        return f"http://127.0.0.1:{self.dashboard}"

    def submit(self, *command: str, cwd: Path | None = None, environment: dict[str, str] | None = None) -> "ClusterJob":
        """Run `ray job submit -- COMMAND`, which follows the job to its end; it sends the project `cwd`, if any."""
        log = self.root / f"job-{time.monotonic_ns()}.log"
        project = ["--working-dir", "."] if cwd else []
        with log.open("w") as out:
            submitted = subprocess.Popen(
                ["ray", "job", "submit", *project, "--", *command],
                cwd=cwd or self.root,
                env=self.env | {"RAY_ADDRESS": self.address} | (environment or {}),
                stdout=out,
                stderr=out,
            )
        return ClusterJob(submitted, log)

    def add(self) -> None:
        """Add a machine."""
        self._start(f"--address={HEAD}:{self.port}", f"--num-cpus={self.cpus}")

    def kill(self, number: int) -> None:
        """Send SIGKILL to all processes of a node; 0 is the head."""
        for process in self._tree(number):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.processes[number].wait()

    def node_of(self, pid: int) -> int:
        """Return the number of the node that a process runs on."""
        return next(n for n in range(len(self.processes)) if pid in {p.pid for p in self._tree(n)})

    def node_with(self, name: str) -> int:
        """Return the number of a node that runs a process of this name."""
        return next(n for n in self.machines() if any(name in _title(p) for p in self._tree(n)))

    def machines(self) -> list[int]:
        """Return the numbers of the running nodes, without the head."""
        return [n for n in range(1, len(self.processes)) if self.processes[n].poll() is None]

    def stop(self) -> None:
        """End all that was started, and wait until it is gone."""
        for number in range(len(self.processes)):
            self._tree(number)
        for process in self._seen.values():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for process in self.processes:
            process.wait()
        left = psutil.wait_procs(self._seen.values(), timeout=20)[1]
        shutil.rmtree(self.root, ignore_errors=True)
        assert not left, left

    def _tree(self, number: int) -> list[psutil.Process]:
        """Return a node's processes; they are remembered, because an orphan is no longer in the process tree."""
        try:
            root = psutil.Process(self.processes[number].pid)
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
        self._seen |= {process.pid: process for process in tree}
        return tree

    def _start(self, *options: str) -> None:
        """Start a node; try once more if the machine is so busy that Ray gives up."""
        for attempt in range(ATTEMPTS):
            number, log = len(self.processes), self.root / f"node-{len(self.processes)}.log"
            with log.open("w") as out:
                command = ["ray", "start", "--block", *self._settings(number), *options]
                self.processes.append(subprocess.Popen(command, env=self.env, cwd=self.root, stdout=out, stderr=out))
            end = time.monotonic() + PATIENCE
            while self.processes[-1].poll() is None and time.monotonic() < end:
                if "Ray runtime started" in log.read_text():
                    return
                time.sleep(0.2)
            self.kill(number)
            self.processes.pop()
            print(f"node {number}, attempt {attempt + 1}: {log.read_text()[-1000:]}")
        raise AssertionError(f"node {number} did not start")

    def _settings(self, number: int) -> list[str]:
        # Not 127.0.0.1, for which Ray takes the machine's public address; a temporary folder each, as machines have.
        ports = ("dashboard-agent-listen", "dashboard-agent-grpc", "runtime-env-agent", "metrics-export")
        return [
            *(f"--node-ip-address=127.0.0.{2 + number}", f"--temp-dir={self.root / f'ray-{number}'}"),
            *("--disable-usage-stats", "--num-gpus=0", "--object-store-memory=134217728"),
            *("--min-worker-port=0", "--max-worker-port=0", *(f"--{name}-port={free_port()}" for name in ports)),
        ]


class ClusterJob:
    """A submitted job and its output."""

    def __init__(self, process: subprocess.Popen, log: Path):
        self.process, self.log = process, log

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, seconds: float = 2 * PATIENCE) -> int:
        """Wait for its end; return the exit status of the command that submitted it."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.abandon()
            raise AssertionError(f"the job did not end in {seconds} s\n{self.said()[-4000:]}") from None

    def abandon(self) -> None:
        """End the command that follows the job; the job itself ends with its cluster."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def await_text(self, text: str) -> str:
        """Wait until the job has printed a text; return all of its output."""
        self.await_that(lambda: text in self.said())
        return self.said()

    def await_that(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the job does."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"it did not come to that\n{self.said()[-4000:]}")
            time.sleep(0.1)


def _title(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def free_port() -> int:
    """Return a port below those that the system hands out itself, so that it is still free a second later."""
    while True:
        port = random.randrange(12_000, 30_000)
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("", port))
            return port
