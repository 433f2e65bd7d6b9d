"""A Ray cluster of real processes on this machine: a head and worker nodes that can be killed one by one.

    with Fleet(tmp_path, nodes=2) as fleet:
        job = fleet.submit("python", "-m", "pipelines.train", cwd=project)
        fleet.kill(1)
        assert job.wait() == 0

Only what was started here is ever ended, by pid. Everything listens on loopback and asks for a token.
"""

import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE = 240  # seconds in which something must happen on a busy machine
HEAD = "127.0.0.2"
CPUS = 4  # logical, of each worker node; the head runs drivers only, as on a cluster


class Fleet:
    """Head and `nodes` worker nodes; `environment` is what all their processes see."""

    def __init__(self, root: Path, nodes: int = 2, environment: dict[str, str] | None = None):
        root.mkdir(parents=True, exist_ok=True)
        self.root, self.nodes = root, nodes
        token = root / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        self.env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_prestart_worker_first_driver": "0",  # two cores start one worker at a time,
            "RAY_agent_register_timeout_ms": "120000",  # and may take longer than Ray waits
            "RAY_raylet_start_wait_time_s": "120",
            "OMP_NUM_THREADS": "1",
            **(environment or {}),
        }
        self.env.pop("RAY_ADDRESS", None)
        self.processes: list[subprocess.Popen] = []  # head first
        self._started: dict[int, psutil.Process] = {}

    def __enter__(self) -> "Fleet":
        self.port, self.dashboard = free_port(), free_port()
        try:
            self._start_head()
            for _ in range(self.nodes):
                self._start_node()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Where jobs are submitted."""
        return f"http://127.0.0.1:{self.dashboard}"

    def submit(self, *command: str, cwd: Path) -> "Job":
        """`ray job submit --working-dir . -- COMMAND`, which follows the job to its end."""
        log = self.root / f"job-{time.monotonic_ns()}.log"
        with log.open("w") as out:
            submitted = subprocess.Popen(
                ["ray", "job", "submit", "--working-dir", ".", "--", *command],
                cwd=cwd,
                env=self.env | {"RAY_ADDRESS": self.address},
                stdout=out,
                stderr=out,
            )
        return Job(submitted, log)

    def kill(self, number: int) -> None:
        """SIGKILL to all processes of a node; 0 is the head."""
        for process in self._tree(number):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.processes[number].wait()

    def node_of(self, pid: int) -> int:
        """Number of the node that a process runs on."""
        return next(n for n in range(len(self.processes)) if pid in {p.pid for p in self._tree(n)})

    def stop(self) -> None:
        """End all that was started, and wait until it is gone."""
        for number in range(len(self.processes)):
            self._tree(number)
        for process in self._started.values():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for process in self.processes:
            process.wait()
        left = psutil.wait_procs(self._started.values(), timeout=20)[1]
        assert not left, left

    def _tree(self, number: int) -> list[psutil.Process]:
        """A node's processes; they are remembered, since a child outlives its parent in no tree."""
        try:
            root = psutil.Process(self.processes[number].pid)
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
        self._started |= {process.pid: process for process in tree}
        return tree

    def _start_head(self) -> None:
        self._start(
            "--head",
            f"--port={self.port}",
            "--num-cpus=0",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self.dashboard}",
            f"--ray-client-server-port={free_port()}",
            f"--temp-dir={self.root / 'ray'}",
        )

    def _start_node(self) -> None:
        self._start(f"--address={HEAD}:{self.port}", f"--num-cpus={CPUS}")

    def _start(self, *options: str) -> None:
        command = [
            *("ray", "start", "--block", "--disable-usage-stats", f"--node-ip-address={self._ip()}", "--num-gpus=0"),
            *("--object-store-memory=134217728", "--min-worker-port=0", "--max-worker-port=0"),
            *(f"--dashboard-agent-listen-port={free_port()}", f"--dashboard-agent-grpc-port={free_port()}"),
            *(f"--runtime-env-agent-port={free_port()}", f"--metrics-export-port={free_port()}"),
            *options,
        ]
        with (self.root / f"node-{len(self.processes)}.log").open("w") as log:
            self.processes.append(subprocess.Popen(command, env=self.env, cwd=self.root, stdout=log, stderr=log))
        number = len(self.processes) - 1
        self._await(lambda: "Ray runtime started" in self._said(number), f"node {number} did not start")

    def _ip(self) -> str:
        """Each node has an address of its own. Not 127.0.0.1, for which Ray takes the machine's public one."""
        return f"127.0.0.{2 + len(self.processes)}"

    def _said(self, number: int) -> str:
        return (self.root / f"node-{number}.log").read_text()

    def _await(self, condition, otherwise: str) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            ended = [n for n, process in enumerate(self.processes) if process.poll() is not None]
            if ended or time.monotonic() > end:
                raise AssertionError(otherwise + "\n" + "\n".join(self._said(n)[-2000:] for n in ended or [0]))
            time.sleep(0.2)


class Job:
    """A submitted job and what it says."""

    def __init__(self, process: subprocess.Popen, log: Path):
        self.process, self.log = process, log

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, seconds: float = 2 * PATIENCE) -> int:
        """Wait for its end; exit status of the command that submitted it."""
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
        """Wait until the job has said something; all that it has said."""
        end = time.monotonic() + PATIENCE
        while text not in (said := self.said()):
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"waited for {text!r}\n{said[-4000:]}")
            time.sleep(0.1)
        return said


def free_port() -> int:
    """A port below those that the system hands out itself, so that it is still free a second later."""
    while True:
        port = random.randrange(12_000, 30_000)
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("", port))
            return port
