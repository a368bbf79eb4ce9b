"""Commands of the command line as processes that need not import anything.

Each is a fork of a process that has imported torch and the harness once, and then does what one
started from a shell does: it has its own arguments, folder, variables and streams, takes signals,
and ends with an exit status. Plug-ins are found in each anew.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
#: what a command imports sooner or later
MODULES = (
    "torch", "av", "pandas", "PIL.Image", "vssbench.cli", "vssbench.cost.gmacs",
    "vssbench.report.table", "vssbench.run.experiment", "vssbench.segment.many",
    "vssbench.sweep.conduct", "vssbench.sweep.grid", "vssbench.sweep.planner",
    "vssbench.training.loop", "vssbench.weights.shipped",
)  # fmt: skip
#: an integer: a process's number, or its status
NUMBER = struct.Struct("<i")
#: a program that does what a shell's command does, for scripts: it is told the socket, the name of
#: the command and its arguments
CLIENT = """
import array, json, os, socket, struct, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
request = [sys.argv[2:], os.getcwd(), dict(os.environ), False]
streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", (0, 1, 2)))]
text = json.dumps(request).encode()
peer.sendmsg([struct.pack("<i", len(text))], streams)
peer.sendall(text)
got = b""
while len(got) < 8:
    part = peer.recv(8 - len(got))
    if not part:
        sys.exit("the process of the commands has ended")
    got += part
sys.exit(struct.unpack("<ii", got)[1])
"""


class Command:
    """A command under way, as subprocess.Popen has it; stdout and stderr are one stream."""

    def __init__(self, peer: socket.socket, said: int) -> None:
        self.peer, self.said = peer, said
        self.returncode: int | None = None
        self.pid = NUMBER.unpack(_read(peer, NUMBER.size))[0]

    def poll(self) -> int | None:
        """Return its exit status if it has ended; minus the signal's number where one ended it."""
        if self.returncode is None and select.select([self.peer], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        """Return its exit status once it has ended."""
        if self.returncode is None:
            self.returncode = NUMBER.unpack(_read(self.peer, NUMBER.size))[0]
            self.peer.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 300) -> tuple[str, None]:
        """Return what it says until its end. Raises subprocess.TimeoutExpired."""
        parts, until = [], time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.said], [], [], left)[0]:
                raise subprocess.TimeoutExpired("bench.py", timeout, b"".join(parts))
            part = os.read(self.said, 1 << 16)
            if not part:
                break
            parts.append(part)
        os.close(self.said)
        self.wait()
        return b"".join(parts).decode(), None


class Warm:
    """The process whose forks the commands are, as the tests hold it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        environment = {
            **os.environ, "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", str(place)], cwd=ROOT, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def start(self, words: Sequence[str], folder: Path, environment: dict[str, str]) -> Command:
        """Start a command in a session of its own."""
        said, theirs = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(str(self.place))
        text = json.dumps([["bench.py", *words], str(folder), environment, True]).encode()
        socket.send_fds(peer, [NUMBER.pack(len(text))], [nothing, theirs, theirs])
        peer.sendall(text)
        os.close(nothing)
        os.close(theirs)
        return Command(peer, said)

    def program(self, folder: Path, name: str) -> Path:
        """Write a program that runs commands so, and return it."""
        client, program = folder / f"{name}.py", folder / name
        client.write_text(CLIENT, encoding="utf-8")
        words = f"{sys.executable} -I -S {client} {self.place} {name}"
        program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        return program

    def end(self) -> None:
        """End the process; commands under way go on."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@contextmanager
def warm() -> Iterator[Warm]:
    """Start the process, and end it."""
    # a name of a socket is short: no folder of a test
    with tempfile.TemporaryDirectory() as folder:
        started = Warm(Path(folder) / "socket")
        try:
            yield started
        finally:
            started.end()


def _read(peer: socket.socket, count: int) -> bytes:
    """Read so many bytes. Raises EOFError."""
    content = b""
    while len(content) < count:
        part = peer.recv(count - len(content))
        if not part:
            raise EOFError("the process of the commands has ended")
        content += part
    return content


def _serve(place: str) -> bool:
    """Answer requests until stdin ends; return whether this is the fork that is to be a command."""
    for name in MODULES:
        importlib.import_module(name)
    drawn = importlib.import_module("vssbench.datasets.synthetic.library")
    drawn.library(0, 0)  # the textures of the street that methods are scored on
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(16)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if listener not in ready:
            return False
        peer, _ = listener.accept()
        if os.fork():
            peer.close()
            continue
        listener.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _answer(peer)
        return True


def _answer(peer: socket.socket) -> None:
    """Fork the command, which returns from here, and say its number and how it ended."""
    head, streams, _, _ = socket.recv_fds(peer, NUMBER.size, 3)
    words, folder, environment, alone = json.loads(_read(peer, NUMBER.unpack(head)[0]))
    child = os.fork()
    if child:
        for each in streams:
            os.close(each)
        peer.sendall(NUMBER.pack(child))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        try:
            peer.sendall(NUMBER.pack(status))
        finally:
            os._exit(0)
    peer.close()
    for number, (each, name) in enumerate(zip(streams, ("stdin", "stdout", "stderr"), strict=True)):
        os.dup2(each, number)
        os.close(each)
        _renew(number, name)
    if alone:
        os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    here = [str(ROOT)] if words[0] == "bench.py" else [""]
    sys.path[:0] = [*here, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    importlib.invalidate_caches()
    sys.argv = words


def _renew(number: int, name: str) -> None:
    """Open a standard stream anew, as a fresh process does: the old object knows what its
    descriptor was, such as a file in which it can seek."""
    old = getattr(sys, name)
    stream = os.fdopen(
        number, "w" if number else "r", 1 if name == "stderr" else -1,
        encoding=old.encoding, errors=old.errors, closefd=False,
    )  # fmt: skip
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)


def _run() -> None:
    """Be ``python bench.py``, also for processes that this one starts."""
    main = ModuleType("__main__")
    main.__file__ = str(ROOT / "bench.py")
    sys.modules["__main__"] = main
    from vssbench.cli import main as bench

    bench()


if __name__ == "__main__" and _serve(sys.argv[1]):
    _run()
