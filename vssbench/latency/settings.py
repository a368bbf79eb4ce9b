"""Settings of a latency measurement: what is to be timed, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vssbench.core.errors import UsageError

PRECISIONS = ("fp32", "bf16", "fp16")
#: GOPs of the stream that are decoded and timed, again and again
GOPS = 2


@dataclass(frozen=True)
class Settings:
    """The settings by which methods are timed.

    ``size`` is (height, width) of the frames; ``codec`` a variant with its GOP; ``clip`` a video
    file or folder of images to take frames from, None for a drawn street; ``seconds`` the counted
    time of a method in each of its ``processes``, spread over ``rounds``; ``threads`` of PyTorch on
    the CPU, None for its own choice; ``seed`` draws the order of the rounds and random weights;
    ``cache`` keeps the bitstream.
    """

    size: tuple[int, int]
    classes: int
    device: str
    precision: str
    codec: str
    gop: int
    processes: int
    rounds: int
    seconds: float
    cache: Path
    threads: int | None = None
    clip: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(
                f"precision {self.precision!r} is unknown: expected {', '.join(PRECISIONS)}"
            )
        for name in ("processes", "rounds", "seconds"):
            if not getattr(self, name) > 0:
                raise UsageError(
                    f"--{name} {getattr(self, name)} cannot be used: expected more than 0"
                )
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads {self.threads} cannot be used: expected 1 or more")

    @property
    def frames(self) -> int:
        """Frames of the stream."""
        return GOPS * self.gop

    @property
    def seconds_a_round(self) -> float:
        return self.seconds / self.rounds


@dataclass(frozen=True)
class Subject:
    """A method that is timed: its variant as typed, its name in the field's words, a weight file or
    None for random ones."""

    method: str
    display: str
    weights: Path | None = None

    @property
    def weights_text(self) -> str:
        """Which weights, for the record."""
        return "random" if self.weights is None else self.weights.name
