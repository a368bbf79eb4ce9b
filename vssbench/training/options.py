"""The options of a training, which override its recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vssbench.core.variant import parse_variant
from vssbench.training.memory import DEFAULT_BYTES
from vssbench.training.pairs import states_rate

#: draws a training's curves: the file, the history, what each phase is judged by, a title
DrawCurves = Callable[[Path, Sequence[dict[str, Any]], Mapping[str, str], str], None]


@dataclass(frozen=True)
class Options:
    """The options of a training: the recipe's name and the values that override it.

    None overrides nothing.

    ``batch`` counts the images of one pass over all processes; a step takes ``accumulate`` such
    passes. ``frames`` limits the frames of an epoch and of a validation; ``memory``, in GiB, bounds
    what is kept of the data on this machine; ``part_size``, in MiB, splits the weight file.
    ``phases`` names those that are run, where they are not all that ``initial`` leaves; after
    ``minutes`` the training stops with a checkpoint; ``frame_folder`` keeps frames that are slow to
    draw or decode; ``curves`` draws the history so far into a file after every validation.
    """

    recipe: str = "short"
    epochs: int | None = None
    iterations: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    warmup: float | None = None
    crop: tuple[int, int] | None = None
    precision: str | None = None
    codecs: tuple[str, ...] | None = None
    validate_every: int | None = None
    select: Literal["best", "last"] | None = None
    accumulate: int = 1
    device: str = "cpu"
    workers: int = 1
    memory: float = DEFAULT_BYTES / 2**30
    seed: int = 0
    frames: int | None = None
    initial: tuple[Path, ...] = field(default=())
    phases: tuple[str, ...] = ()
    minutes: float | None = None
    frame_folder: Path | None = None
    part_size: float | None = None
    curves: DrawCurves | None = None

    def overrides(self) -> dict[str, Any]:
        """Return the values that override the recipe, by its keys."""
        given = {
            "epochs": self.epochs,
            "iterations": self.iterations,
            "batch": self.batch,
            "optimiser.learning_rate": self.learning_rate,
            "schedule.warmup": self.warmup,
            "augmentation.crop": self.crop,
            "precision": self.precision,
            "codecs": self.codecs or None,
            "validate_every": self.validate_every,
            "select": self.select,
            "rate": "stated"
            if any(states_rate(parse_variant(codec)) for codec in self.codecs or ())
            else None,
        }
        return {key: value for key, value in given.items() if value is not None}

    def identity(self) -> dict[str, str]:
        """Return every option beside the recipe that changes the trained weights, as text."""
        initial = ", ".join(str(path) for path in self.initial)
        others: dict[str, Any] = {
            "accumulate": self.accumulate,
            "seed": self.seed,
            "frames": self.frames,
        }
        others |= {"phases": ", ".join(self.phases)} if self.phases else {}
        return {**{key: str(value) for key, value in others.items()}, "initial": initial}
