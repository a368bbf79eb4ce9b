"""The number of mutated inputs, and how a fault is told: by its seed, with which it comes
again."""

from __future__ import annotations

import os
import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from vssbench.core.errors import VssbenchError

#: mutated inputs of all tests together where VSSBENCH_FUZZ does not say
INPUTS = 2000


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
        """Fail with all faults, each with its seed."""
        if self.faults:
            shown = "\n".join(self.faults[:5])
            pytest.fail(f"{len(self.faults)} inputs are no message but a traceback\n{shown}")


@pytest.fixture
def campaign() -> Campaign:
    return Campaign(int(os.environ.get("VSSBENCH_FUZZ", INPUTS)))
