"""Clocks: how long a frame takes as a whole, or its steps, on the CPU and on a GPU."""

from __future__ import annotations

import itertools
import time
from typing import Any, Protocol


class Clock(Protocol):
    """Times a frame: ``start``, a ``mark`` at the end of each step, then ``stop``.

    The steps are the conversion to tensors on the device, the network, and resize and argmax.
    """

    def start(self) -> None:
        """Wait until the device is idle, and begin a measurement."""

    def mark(self) -> None:
        """Note the time at which a step ends."""

    def stop(self) -> list[float]:
        """Wait until all is done; return the milliseconds of what is timed."""


class WholeClock:
    """Times a frame as a whole, from the moment when its tensors are on the device, in wall time.

    That is one number: the network, the resize of its logits and the argmax.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._began: float | None = None

    def start(self) -> None:
        self._began = None

    def mark(self) -> None:
        if self._began is None:
            synchronise(self.device)
            self._began = time.perf_counter()

    def stop(self) -> list[float]:
        synchronise(self.device)
        assert self._began is not None, "stopped before the first mark"
        return [1000 * (time.perf_counter() - self._began)]


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


def synchronise(device: str) -> None:
    """Wait until a GPU has done all that it was told; a CPU has when the call returns."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


def step_clock(device: str) -> Clock:
    """Return the clock of a frame's steps: CUDA events on a GPU, the process's own clock
    elsewhere."""
    if not device.startswith("cuda"):
        return CpuClock()
    import torch

    return CudaClock(device, torch.cuda)


def _steps(marks: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(marks)]
