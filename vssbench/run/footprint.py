"""Measures the memory that a method takes, in a fresh process: on a CPU the resident set, on a GPU
what torch allocated.

The fast form of the method segments a GOP as ``bench.py run`` does, with random weights and frames.
Definitions: docs/cost.md.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.motion import MotionField
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.variant import Variant
from vssbench.core.video import Frame
from vssbench.cost.gmacs import REFUSALS, meta_model
from vssbench.fast.prepare import prepare
from vssbench.nets.resize import resize
from vssbench.run.stream import Stream

_STATUS = Path("/proc/self/status")
#: writing 5 here sets the peak of this process's resident set back to what is resident now (Linux,
#: proc(5))
_CLEAR = Path("/proc/self/clear_refs")
#: side in pixels of the cells of the motion that frames come with
_CELL = 8


@dataclass(frozen=True)
class Footprint:
    """Memory of one process, in bytes above what it held before the model was made. ``loading``:
    the peak while the model was made and put into its fast form; ``held``: what stayed of it;
    ``gop``: the peak during a GOP, the model among it. ``kind`` is ``resident`` (of a CPU's
    process) or ``allocated`` (by torch on a GPU); ``threads`` are torch's, each of which has
    working memory of its own."""

    kind: str
    loading: int
    held: int
    gop: int
    threads: int
    device: str

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def measure(
    variant: Variant, classes: int, height: int, width: int, gop: int, device: str = "cpu"
) -> Footprint:
    """Return the memory of a GOP of ``gop`` frames in a fresh process. Raises UsageError where the
    network does not run there, where the process ends (killed for its memory, say), or where this
    system has no way to tell."""
    start = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=start) as fresh:
        try:
            return fresh.submit(_footprint, variant, classes, height, width, gop, device).result()
        except BrokenProcessPool as error:
            raise UsageError(
                f"{variant} at {height}x{width}: its process ended before the GOP did, probably "
                "for want of memory; take a smaller --size"
            ) from error


def _footprint(
    variant: Variant, classes: int, height: int, width: int, gop: int, device: str
) -> Footprint:
    """Measure the memory of a GOP; this runs in the fresh process."""
    memory = _Allocated(device) if device.startswith("cuda") else _Resident()
    torch.manual_seed(0)
    _warm_up(variant, classes, device)
    before = memory.restart()
    model: VideoSegmenter = registry.create("methods", variant, classes=classes)
    prepare(model.to(device))
    loading = memory.peak()
    held = memory.restart()
    try:
        _run(Stream(model, device, trained=False), height, width, gop)
    except REFUSALS as error:  # an error of torch's may not survive the way back to the parent
        raise UsageError(
            f"{variant} does not run at {height}x{width} on {device}: {error}"
        ) from None
    gop_peak = memory.peak()
    return Footprint(
        memory.kind,
        loading - before,
        held - before,
        gop_peak - before,
        torch.get_num_threads(),
        device,
    )


def _warm_up(variant: Variant, classes: int, device: str) -> None:
    """Load what every method needs, before memory is measured.

    This is the code of torch's operators, their threads, and the method's modules.
    """
    meta_model(variant, classes)
    layers = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)).to(device)
    with torch.inference_mode():
        small = torch.rand(1, 8, 64, 64, device=device).contiguous(
            memory_format=torch.channels_last
        )
        resize(prepare(layers, lambda: layers(small))(small), (128, 128))


def _run(stream: Stream, height: int, width: int, gop: int) -> None:
    """Segment a GOP of random frames without motion."""
    random = np.random.default_rng(0)
    grid = np.zeros((-(-height // _CELL), -(-width // _CELL), 2), np.float32)
    motion = MotionField(grid, _CELL, height, width, 0.0)
    for number in range(gop):
        image = random.integers(0, 256, (height, width, 3), np.uint8)
        frame = Frame(number, image, "P" if number else "I", number)
        frame.motion = motion if number else None
        stream.segment(frame)


class _Resident:
    """The process's resident set: VmRSS now, VmHWM at its peak."""

    kind = "resident"

    def restart(self) -> int:
        """Return the bytes resident now, from which on the peak is taken.

        What is free but kept by the C library goes back first.
        """
        gc.collect()
        with suppress(OSError, AttributeError):  # not every C library has it
            ctypes.CDLL(None).malloc_trim(0)
        with suppress(OSError):  # where that is forbidden the peak is that since the process began
            _CLEAR.write_text("5")
        return self._read("VmRSS")

    def peak(self) -> int:
        """Return bytes at the peak since :meth:`restart`."""
        return self._read("VmHWM")

    def _read(self, name: str) -> int:
        """Read a value of the process's memory. Raises UsageError on a system without /proc."""
        try:
            line = next(
                line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:")
            )
        except (OSError, StopIteration):
            raise UsageError(
                f"a process's memory is read from {_STATUS} (Linux), which is not here; --device "
                "cuda asks torch instead"
            ) from None
        return 1024 * int(line.split()[1])


class _Allocated:
    """The memory that torch's allocator gave out on a GPU.

    It is told by ``torch.cuda.memory_allocated`` and ``max_memory_allocated``.
    """

    kind = "allocated"

    def __init__(self, device: str) -> None:
        self.device = device
        torch.cuda.init()

    def restart(self) -> int:
        """Return the bytes allocated now, from which on the peak is taken."""
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        return torch.cuda.memory_allocated(self.device)

    def peak(self) -> int:
        """Return bytes at the peak since :meth:`restart`."""
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device)
