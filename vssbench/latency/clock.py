"""Clocks: how long the steps of a frame take, on the CPU and on a GPU."""

from __future__ import annotations

import itertools
import time
from typing import Any, Protocol


class Clock(Protocol):
    """Times consecutive steps: ``start``, a ``mark`` at the end of each step, then ``stop``."""

    def start(self) -> None:
        """Wait until the device is idle, and begin a measurement."""

    def mark(self) -> None:
        """Note the time at which a step ends."""

    def stop(self) -> list[float]:
        """Wait until all is done; return the milliseconds of each step."""


class CpuClock:
    """The process's own clock: work on a CPU is done when the call returns."""

    def start(self) -> None:
        self._marks = [time.perf_counter()]

    def mark(self) -> None:
        self._marks.append(time.perf_counter())

    def stop(self) -> list[float]:
        return _steps([1000 * mark for mark in self._marks])


class CudaClock:
    """CUDA events, recorded in the stream between the steps' kernels, and read once the device has
    come to the last.

    ``cuda`` is ``torch.cuda``. The device is idle at the start, so that what the CPU takes to
    launch kernels counts as well.
    """

    def __init__(self, device: str, cuda: Any) -> None:
        self.device, self.cuda = device, cuda

    def start(self) -> None:
        self.cuda.synchronize(self.device)
        self._events = [self._recorded()]

    def mark(self) -> None:
        self._events.append(self._recorded())

    def stop(self) -> list[float]:
        self.cuda.synchronize(self.device)
        first = self._events[0]
        return _steps([float(first.elapsed_time(event)) for event in self._events])

    def _recorded(self) -> Any:
        event = self.cuda.Event(enable_timing=True)
        event.record()
        return event


def clock_for(device: str) -> Clock:
    """The clock of a device: CUDA events on a GPU, the process's own clock elsewhere."""
    if not device.startswith("cuda"):
        return CpuClock()
    import torch

    return CudaClock(device, torch.cuda)


def _steps(marks: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(marks)]
