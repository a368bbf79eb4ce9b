"""A Dask scheduler and workers on this machine, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def until(is_so: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until something is so."""
    for _ in range(int(seconds / 0.02)):
        if is_so():
            return
        time.sleep(0.02)
    raise AssertionError("it never came")


class Cluster:
    """A scheduler, and workers that are added one by one."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.processes: list[subprocess.Popen[bytes]] = []
        self.file = folder / "scheduler.json"
        self.start("scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1")

    def start(
        self, *words: str, before: tuple[str, ...] = (), **variables: str
    ) -> subprocess.Popen[bytes]:
        """Start the scheduler or a worker; ``before`` are words before its own command."""
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "dask", *words, "--scheduler-file", str(self.file)],
            cwd=ROOT, env={**self.environment, **variables}, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def worker(self, before: tuple[str, ...] = (), **variables: str) -> subprocess.Popen[bytes]:
        """Start a worker that runs one experiment at a time."""
        return self.start(
            "worker", "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--local-directory", str(self.folder), before=before, **variables,
        )  # fmt: skip

    @property
    def address(self) -> str:
        return json.loads(self.file.read_text(encoding="utf-8"))["address"]

    def workers(self) -> int:
        """Count the workers that the scheduler has."""
        import distributed

        with distributed.Client(self.address, set_as_default=False) as client:
            return len(client.scheduler_info(n_workers=-1)["workers"])

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
