"""The number of mutated inputs, and how a fault is told: by its seed, with which it comes
again."""

from __future__ import annotations

import os
import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vssbench.core.errors import VssbenchError

#: mutated inputs of all tests together where VSSBENCH_FUZZ does not say
INPUTS = 2000
#: MiB of memory that the inputs of one kind may take at their peak, beyond what the process had:
#: less than any bound of vssbench.core.bounds lets through, and more than sound inputs need
MOST_MIB = 1024


@dataclass
class Campaign:
    """Mutated inputs of one kind of file, each of a seed of its own.

    ``share`` of all inputs are of this kind. ``refused`` counts messages, ``sound`` the inputs that
    were taken.
    """

    inputs: int
    refused: int = 0
    sound: int = 0
    faults: list[str] = field(default_factory=list)
    before: float = field(default_factory=lambda: reset_peak())

    def seeds(self, share: float) -> range:
        """The seeds to try."""
        return range(max(1, round(share * self.inputs)))

    def attempt(self, seed: int, take: Callable[[random.Random], object]) -> None:
        """Try one input: a message or success, all else is a fault."""
        try:
            take(random.Random(seed))
        except VssbenchError:
            self.refused += 1
        except Exception:
            self.faults.append(f"seed {seed}:\n{traceback.format_exc(limit=-6)}")
        else:
            self.sound += 1

    def check(self) -> None:
        """Fail with all faults, each with its seed, and where memory grew beyond the bound."""
        if self.faults:
            shown = "\n".join(self.faults[:5])
            pytest.fail(f"{len(self.faults)} inputs are no message but a traceback\n{shown}")
        taken = _memory("VmHWM") - self.before
        if taken > MOST_MIB:
            pytest.fail(f"the inputs took {taken:.0f} MiB of memory; at most {MOST_MIB} may be")


def reset_peak() -> float:
    """Begin the peak of this process's memory anew, and return what it holds, in MiB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _memory("VmRSS")


def _memory(name: str) -> float:
    """Return a line of the kernel's account of this process, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition(f"{name}:")[2].split()[0]) / 1024


@pytest.fixture
def campaign() -> Campaign:
    return Campaign(int(os.environ.get("VSSBENCH_FUZZ", INPUTS)))
