"""A process that has loaded what commands load, and forks for each: a fault is provoked in the
child, for real, without the seconds that a start takes.

It is told a command a line, as JSON, and answers with its exit status: see ``Fault``.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
#: what every command loads that measures, trains or draws
LOADED = (
    "vssbench.cli", "vssbench.run.experiment", "vssbench.sweep.grid", "vssbench.report.table",
    "vssbench.cli.options", "vssbench.segment.many", "vssbench.training.stages",
    "vssbench.training.distributed", "vssbench.weights.writing", "vssbench.report.curves",
    "vssbench.methods.bisenet", "vssbench.datasets.folder", "torch._dynamo", "psutil",
    "torch.fx.experimental.symbolic_shapes", "torch.utils.flop_counter", "matplotlib.figure",
    "matplotlib.backends.backend_agg", "rich._emoji_codes", "vssbench.codec.formats.h264",
    "vssbench.codec.formats.raw", "pandas", "encodings.ascii", "encodings.utf_8_sig",
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """A command and the fault in which it runs.

    ``variables`` are added to the environment, None takes one away. ``memory`` is what it may take
    beyond what it has, in MiB; ``file`` the most bytes of a file that it writes; ``user`` the
    number of the user that it runs as; ``code`` is executed before the command, ``after`` behind
    it.
    """

    arguments: Sequence[str]
    variables: dict[str, str | None] = field(default_factory=dict)
    memory: int | None = None
    file: int | None = None
    user: int | None = None
    code: str = ""
    after: str = ""

    def begin(self) -> None:
        """Provoke the fault in this process."""
        for name, value in self.variables.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        if self.code:
            exec(self.code, {})
        if self.file is not None:
            _limit(resource.RLIMIT_FSIZE, self.file)
        if self.user is not None:
            os.setgroups([])
            os.setgid(self.user)
            os.setuid(self.user)
        if self.memory is not None:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + self.memory * MIB)


@dataclass(frozen=True)
class Ended:
    """The end of a command: its exit status, negative for a signal, and what it printed."""

    status: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """The error that it ends with."""
        return self.stderr.rpartition("Error: ")[2].strip()


class Forks:
    """The process, as a test holds it; commands run in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tests.faults.forks import serve; serve()"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str, **fault: object) -> Ended:
        """Run a command in a fault, whose fields are those of ``Fault``."""
        asked = {"folder": str(self.folder), **asdict(Fault(arguments, **fault))}  # type: ignore[arg-type]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        texts = [self.folder / name for name in ("stdout", "stderr")]
        return Ended(
            status, *(path.read_text(encoding="utf-8", errors="replace") for path in texts)
        )

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def before(event: str, ending: str, then: str, turns: int = 0) -> str:
    """Return code that makes a fault in the midst of a command: ``then`` is executed before an
    event of Python's (``open``, ``os.rename``) on a path that ends so, after that many of them.
    ``take_memory()`` leaves the process some 600 KB."""
    return f"""
import os, resource, sys
left, held = {turns}, []
def take_memory():
    pages = int(open("/proc/self/statm").read().split()[0])
    most = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    for size in (1 << 20, 1 << 14):
        try:
            while True:
                held.append(bytearray(size))
        except MemoryError:
            pass
    del held[-40:]
def look(event, arguments):
    global left
    if event == {event!r} and {ending!r} in (str(each)[-{len(ending)}:] for each in arguments):
        left -= 1
        if left == -1:
            {then}
sys.addaudithook(look)
"""


def serve() -> None:
    """Run the commands that the input tells, each in a fork, until it ends."""
    import importlib

    import torch

    from vssbench.core.machine import describe_environment

    for name in LOADED:
        importlib.import_module(name)
    torch.set_num_threads(1)
    describe_environment("cpu")
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        asked = json.loads(line)
        folder = Path(asked.pop("folder"))
        child = os.fork()
        if not child:
            _child(folder, Fault(**asked))
        _, ended = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(ended)}\n")
        answers.flush()


def _child(folder: Path, fault: Fault) -> None:
    from vssbench.cli import main

    status = 70
    try:
        os.chdir(folder)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["bench.py", *fault.arguments]
        fault.begin()
        status = _status(main)
        exec(fault.after, {})
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _status(main: Callable[[], None]) -> int:
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _limit(number: int, most: int) -> None:
    resource.setrlimit(number, (most, resource.getrlimit(number)[1]))
