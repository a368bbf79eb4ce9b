"""Interleaved rounds: every method in fresh processes, one at work at a time, in an order drawn for
each round.

Whatever changes slowly on the machine, its temperature or its other users, then meets all methods
alike, and the ratio of two methods' times in the same round is free of it. Each process is new: how
its memory came to lie, and which kernels were chosen, is drawn again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vssbench.latency.load import Load
from vssbench.latency.samples import Samples, joined
from vssbench.latency.settings import Settings, Subject
from vssbench.latency.warmup import WarmUp
from vssbench.latency.worker import Round, serve

#: seconds that a worker has to end by itself before it is killed
_PATIENCE = 5.0
#: OpenMP's names for each thread having a core of its own. Left to the scheduler, the threads of a
#: whole process may come to share a core, or move from core to core: a method then takes 1.3 to 2
#: times as long in one process as in the next.
BINDING = {"OMP_PROC_BIND": "true", "OMP_PLACES": "cores"}
#: variables by which a user has decided otherwise
_DECIDED = (*BINDING, "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
#: seconds between two looks at whether a worker is still alive
_GLANCE = 0.2


class WorkerFailed(Exception):
    """A worker said why it cannot go on, or died without a word."""


@dataclass
class Outcome:
    """The outcome of a method: its warm-ups, its loads by round, and why it was given up.

    The reason is empty where it was not. ``again`` has an entry a round
    (:class:`vssbench.latency.worker.Round`). ``energy`` says what counts the energy of frames, or
    why nothing does.
    """

    warmups: list[WarmUp] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    failure: str = ""
    threads: int = 0
    energy: str = ""


@dataclass
class Campaign:
    """All that is measured, as it grows. ``outcomes`` has one entry a method; ``complete`` says
    that it came to its end."""

    outcomes: list[Outcome]
    parts: list[Samples] = field(default_factory=list)
    complete: bool = False

    def samples(self) -> Samples:
        return joined(self.parts)


def schedule(methods: int, processes: int, rounds: int, seed: int) -> list[list[list[int]]]:
    """Return the order of the methods in each round of each set of processes:
    [processes][rounds][methods]."""
    random = np.random.default_rng(seed)
    return [
        [[int(i) for i in random.permutation(methods)] for _ in range(rounds)]
        for _ in range(processes)
    ]


def run_rounds(
    settings: Settings,
    subjects: Sequence[Subject],
    campaign: Campaign,
    advance: Callable[[str], object] = lambda note: None,
) -> None:
    """Fill ``campaign``; a method whose worker fails is given up, the others go on.
    KeyboardInterrupt passes through.

    ``advance`` is called once for each round of a method, and for each that will not take place.
    """
    for process, orders in enumerate(
        schedule(len(subjects), settings.processes, settings.rounds, settings.seed)
    ):
        with _workers() as workers:
            for index in orders[0]:
                outcome = campaign.outcomes[index]
                if not outcome.failure:
                    with _noting(outcome):
                        workers[index] = Worker(settings, subjects[index])
                        warm_up, outcome.threads, outcome.energy = workers[index].answer("ready")
                        outcome.warmups.append(warm_up)
            for number, order in enumerate(orders):
                for index in order:
                    if not campaign.outcomes[index].failure:
                        with _noting(campaign.outcomes[index]):
                            _one_round(workers[index], campaign, index, process, number)
                    advance(f"process {process + 1}, round {number + 1}: {subjects[index].method}")
    campaign.complete = True


@contextmanager
def _noting(outcome: Outcome) -> Iterator[None]:
    """Give up a method where its work fails."""
    try:
        yield
    except WorkerFailed as failure:
        outcome.failure = str(failure)


def _one_round(worker: Worker, campaign: Campaign, index: int, process: int, number: int) -> None:
    done: Round = worker.ask("round")
    campaign.outcomes[index].loads.append(done.load)
    campaign.outcomes[index].again.append(done.again)
    whole = np.array(done.frames, np.float64)
    gop, frame, distance = (whole[:, place].astype(np.int64) for place in range(3))
    same = np.ones(len(whole), np.int64)
    decode, motion, converting, model, post = (whole[:, place] for place in range(3, 8))
    joules = np.array(done.joules, np.float64)
    numbers = index * same, process * same, number * same
    times = decode, motion, converting, model, post, joules
    campaign.parts.append(Samples(*numbers, gop, frame, distance, *times))


class Worker:
    """A process that times a method, seen from outside."""

    def __init__(self, settings: Settings, subject: Subject) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, settings, subject), daemon=True)
        with _interrupts_ignored(), _environment(binding(settings.device)):
            self.process.start()
        theirs.close()  # so that the pipe ends when the worker does

    def ask(self, what: str) -> Any:
        """Tell the worker to do something, and wait for what comes of it. Raises WorkerFailed."""
        try:
            self.connection.send(what)
        except (BrokenPipeError, ConnectionResetError):
            raise WorkerFailed(self._how_it_ended()) from None
        return self.answer(what)

    def answer(self, expected: str) -> Any:
        """Return the content of the next message.

        Raises WorkerFailed where it is not the one expected, or never comes.
        """
        try:
            while not self.connection.poll(_GLANCE):
                if not self.process.is_alive() and not self.connection.poll(0):
                    raise WorkerFailed(self._how_it_ended())
            what, content = self.connection.recv()
        except (EOFError, ConnectionResetError):
            raise WorkerFailed(self._how_it_ended()) from None
        if what != expected:
            raise WorkerFailed(str(content))
        return content

    def _how_it_ended(self) -> str:
        self.process.join(_PATIENCE)
        status = self.process.exitcode
        if status is not None and status < 0:
            name = (
                signal.Signals(-status).name
                if -status in list(signal.Signals)
                else f"signal {-status}"
            )
            hint = "; the system may have been out of memory" if name == "SIGKILL" else ""
            return f"its process was ended by {name}{hint}; what was measured before is kept"
        return (
            f"its process ended with status {status} without a word; what was measured before "
            "is kept"
        )

    def stop(self) -> None:
        """End the process, in whatever state it is."""
        self.connection.close()  # an idle worker ends by itself
        self.process.terminate()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def binding(device: str) -> dict[str, str]:
    """Return environment variables that bind a worker's threads to cores: none on a GPU, or where
    the user has set any of them."""
    bound = device.split(":")[0] == "cpu" and not any(name in os.environ for name in _DECIDED)
    return BINDING if bound else {}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables, all of them new, that processes started here inherit."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes started here ignore Ctrl-C, which reaches the whole group.

    The parent ends its workers itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _workers() -> Iterator[dict[int, Worker]]:
    """Hold workers by the index of their method; all have ended on leaving."""
    workers: dict[int, Worker] = {}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.stop()
