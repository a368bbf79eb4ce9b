"""Load of the machine while a method is timed.

This is the CPU time of other processes, and what a hypervisor takes.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")


@dataclass(frozen=True)
class Reading:
    """Seconds since some fixed moment: ``wall``; ``busy`` and ``stolen`` of all cores together
    (None where the system does not tell); ``own``, what this process and its threads have used.
    ``cores`` is the number of cores they add up over."""

    wall: float
    own: float
    busy: float | None
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
    try:
        text = _STAT.read_text(encoding="utf-8")
    except OSError:
        text = ""
    busy, stolen, cores = parse_stat(text, _ticks_a_second())
    return Reading(time.perf_counter(), time.process_time(), busy, stolen, cores)


def parse_stat(text: str, ticks_a_second: float) -> tuple[float | None, float | None, int]:
    """Busy and stolen seconds of all cores, and the number of cores, of the text of ``/proc/stat``
    (see proc(5))."""
    lines = [line.split() for line in text.splitlines()]
    total = next((line for line in lines if line[:1] == ["cpu"]), None)
    if total is None or len(total) < 9:
        return None, None, os.cpu_count() or 1
    user, nice, system, _idle, _iowait, irq, softirq, stolen = (
        int(value) / ticks_a_second for value in total[1:9]
    )
    cores = sum(1 for line in lines if line and line[0].startswith("cpu") and line[0] != "cpu")
    return user + nice + system + irq + softirq, stolen, max(cores, 1)


def between(before: Reading, after: Reading) -> Load:
    """The load from one reading to the next."""
    available = (after.wall - before.wall) * after.cores
    if (
        before.busy is None
        or after.busy is None
        or before.stolen is None
        or after.stolen is None
        or available <= 0
    ):
        return Load(None, None)
    others = (after.busy - before.busy) - (after.own - before.own)
    return Load(max(others, 0.0) / available, (after.stolen - before.stolen) / available)


def _ticks_a_second() -> float:
    try:
        return float(os.sysconf("SC_CLK_TCK"))
    except (AttributeError, ValueError, OSError):
        return 100.0
