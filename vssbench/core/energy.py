"""Energy that the machine's own counters tell of: RAPL of the processor's packages, through Linux's
powercap folder, and NVML of a GPU.

A counter counts all that its package or GPU does, whoever asked for it, and what it takes at rest.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

#: where Linux shows the counters of processors
POWERCAP = Path("/sys/class/powercap")
#: a package; its parts, as cores, have one more number
_PACKAGE = re.compile(r"intel-rapl:\d+")
NOT_MEASURED = "not measured: "


class EnergyCounter(ABC):
    """A counter of joules; ``title`` says what it counts."""

    title: str

    @abstractmethod
    def read(self) -> tuple[float, ...]:
        """Return what the counters show now, to be compared by ``joules``."""

    @abstractmethod
    def joules(self, before: Sequence[float], after: Sequence[float]) -> float:
        """Return the joules between two readings."""


class Packages(EnergyCounter):
    """The packages of the processor, by RAPL: microjoules that begin anew at a greatest value."""

    title = "processor packages (RAPL)"

    def __init__(self, zones: Sequence[Path]) -> None:
        self._files = [zone / "energy_uj" for zone in zones]
        self._ranges = [float((zone / "max_energy_range_uj").read_text()) for zone in zones]

    def read(self) -> tuple[float, ...]:
        """See EnergyCounter."""
        return tuple(float(path.read_text()) for path in self._files)

    def joules(self, before: Sequence[float], after: Sequence[float]) -> float:
        """See EnergyCounter."""
        parts = zip(before, after, self._ranges, strict=True)
        return sum((new - old) % (most + 1) for old, new, most in parts) / 1e6


class Gpu(EnergyCounter):
    """A GPU, by NVML: millijoules since the driver was loaded."""

    title = "GPU (NVML)"

    def __init__(self, uuid: str) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        self._total = pynvml.nvmlDeviceGetTotalEnergyConsumption
        self._total(self._handle)

    def read(self) -> tuple[float, ...]:
        """See EnergyCounter."""
        return (float(self._total(self._handle)),)

    def joules(self, before: Sequence[float], after: Sequence[float]) -> float:
        """See EnergyCounter."""
        return (after[0] - before[0]) / 1000


def in_words(counter: EnergyCounter | str) -> str:
    """Say what a counter counts, or why there is none."""
    return counter if isinstance(counter, str) else counter.title


def counter(device: str) -> EnergyCounter | str:
    """Return the counter of a device (cpu, cuda, cuda:N), or in words why there is none."""
    try:
        return _gpu(device) if device.startswith("cuda") else _packages()
    except Exception as error:  # a driver may say anything
        return f"{NOT_MEASURED}{type(error).__name__}: {error}"


def _packages() -> EnergyCounter | str:
    zones = [zone for zone in sorted(POWERCAP.glob("*")) if _PACKAGE.fullmatch(zone.name)]
    zones = [zone for zone in zones if (zone / "name").read_text().startswith("package")]
    if not zones:
        return f"{NOT_MEASURED}no counter of a processor in {POWERCAP}"
    try:
        found = Packages(zones)
        found.read()
    except PermissionError:
        return f"{NOT_MEASURED}{zones[0]}/energy_uj may be read by root alone"
    return found


def _gpu(device: str) -> EnergyCounter | str:
    import torch

    try:
        return Gpu(f"GPU-{torch.cuda.get_device_properties(torch.device(device)).uuid}")
    except ModuleNotFoundError:
        return f"{NOT_MEASURED}NVML needs the package nvidia-ml-py"
