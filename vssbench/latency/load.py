"""Load of the machine while a method is timed.

This is the CPU time of other processes, and what a hypervisor takes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

#: what a core does that somebody uses; time of guests is part of ``user``. Not every system tells
#: every one
_BUSY = ("user", "nice", "system", "irq", "softirq", "interrupt")


@dataclass(frozen=True)
class Reading:
    """Seconds since some fixed moment: ``wall``; ``busy`` and ``stolen`` of all cores together
    (None where the system does not tell of it); ``own``, what this process and its threads have
    used. ``cores`` is the number of cores they add up over."""

    wall: float
    own: float
    busy: float
    stolen: float | None
    cores: int


@dataclass(frozen=True)
class Load:
    """Between two readings: the share of all cores' time that others used, and that was stolen;
    None where unknown."""

    others: float | None
    stolen: float | None


def read() -> Reading:
    """Read the machine's and this process's clocks and CPU times now."""
    times = psutil.cpu_times()
    busy = sum(getattr(times, name, 0.0) for name in _BUSY)
    stolen = getattr(times, "steal", None)
    return Reading(time.perf_counter(), time.process_time(), busy, stolen, psutil.cpu_count() or 1)


def between(before: Reading, after: Reading) -> Load:
    """Return the load from one reading to the next."""
    available = (after.wall - before.wall) * after.cores
    if available <= 0:
        return Load(None, None)
    stolen = None
    if before.stolen is not None and after.stolen is not None:
        stolen = (after.stolen - before.stolen) / available
    others = (after.busy - before.busy) - (after.own - before.own)
    return Load(max(others, 0.0) / available, stolen)
