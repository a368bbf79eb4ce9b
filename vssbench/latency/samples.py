"""Every frame's times, as columns of equal length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: the parts of a frame's time in the order in which they happen
PARTS = ("decode", "motion", "input", "model", "post")


@dataclass(frozen=True, eq=False)
class Samples:
    """One entry a timed frame. ``method`` indexes the methods; ``process`` and ``round`` count each
    method's; ``gop`` counts those of a round, ``frame`` is the index in the stream, ``distance``
    counts frames since the keyframe; the times are milliseconds: ``decode_ms`` and ``motion_ms`` of
    that frame in the round's own pass over the stream, ``input_ms`` the conversion to the network's
    input on its device, ``model_ms`` the network, ``post_ms`` resize and argmax. ``joules`` is the
    energy of the last three, NaN where nothing counted it, as in all where none is given."""

    method: Ints
    process: Ints
    round: Ints
    gop: Ints
    frame: Ints
    distance: Ints
    decode_ms: Floats
    motion_ms: Floats
    input_ms: Floats
    model_ms: Floats
    post_ms: Floats
    joules: Floats = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if not len(self.joules):
            object.__setattr__(self, "joules", np.full(len(self.method), np.nan))
        lengths = {each.name: len(getattr(self, each.name)) for each in fields(self)}
        if len(set(lengths.values())) > 1:
            raise DataError(f"samples need one entry a frame in every column; found {lengths}")

    def __len__(self) -> int:
        return len(self.method)

    def part(self, name: str) -> Floats:
        """Return the milliseconds of one of PARTS."""
        values: Floats = getattr(self, f"{name}_ms")
        return values

    @property
    def network_ms(self) -> Floats:
        """Milliseconds by which methods are compared: network, resize of logits, argmax.

        The same is compared in ``run``.
        """
        return self.model_ms + self.post_ms

    @property
    def total_ms(self) -> Floats:
        """From the packet to the labels."""
        return sum((self.part(name) for name in PARTS), np.zeros(len(self)))

    def where(self, chosen: npt.NDArray[np.bool_]) -> Samples:
        """Return the samples of the chosen frames alone."""
        return Samples(**{each.name: getattr(self, each.name)[chosen] for each in fields(self)})

    def of_method(self, index: int) -> Samples:
        return self.where(self.method == index)


def columns(samples: Samples) -> dict[str, npt.NDArray[np.generic]]:
    """Return the columns by name."""
    return {each.name: getattr(samples, each.name) for each in fields(samples)}


def joined(parts: Iterable[Samples]) -> Samples:
    """Join samples, one after the other."""
    listed = list(parts)
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for name in (each.name for each in fields(Samples)):
        kind = np.float64 if name.endswith("_ms") or name == "joules" else np.int64
        arrays[name] = np.concatenate(
            [np.zeros(0, kind), *(getattr(part, name) for part in listed)]
        )
    return Samples(**arrays)  # type: ignore[arg-type]


def gop_means(samples: Samples, values: Floats) -> tuple[Floats, Ints, Ints]:
    """Return the mean of ``values`` over each GOP of one method's frames, with the process and the
    round of each."""
    keys = np.stack([samples.process, samples.round, samples.gop], axis=1)
    unique, place = np.unique(keys, axis=0, return_inverse=True)
    place = place.reshape(-1)
    counts = np.bincount(place, minlength=len(unique))
    means = np.bincount(place, weights=values, minlength=len(unique)) / np.maximum(counts, 1)
    return means, unique[:, 0], unique[:, 1]
