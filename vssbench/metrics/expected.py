"""Checks stored arrays before anything is computed of them: names, types, axes and ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vssbench.core.arrays import Header
from vssbench.core.errors import DataError

#: pixels of one frame and what else is counted: sums of millions of them stay in int64
MOST_COUNT = 1 << 40
#: frames from a keyframe, for which tables and figures have a column each
MOST_DISTANCE = 100_000

_WORDS = {"i": "whole numbers", "f": "numbers", "n": "numbers", "b": "true or false"}
#: numpy's letters of the types that each kind takes
_KINDS = {"i": "iu", "f": "f", "n": "iuf", "b": "b"}
#: the axes whose length a record says
_AXES = {"C": "classes", "F": "scored frames"}


@dataclass(frozen=True)
class Expected:
    """An array as it is stored.

    ``axes`` names its axes, a letter each: those of one letter are equally long in all arrays of a
    record, and a digit is a length. ``kind`` is numpy's letter of its type, ``finite`` whether NaN
    and infinite values are none.
    """

    axes: str
    kind: str = "i"
    least: float = 0
    most: float = MOST_COUNT
    finite: bool = True


def check_headers(
    found: Mapping[str, Header],
    expected: Mapping[str, Expected],
    lengths: Mapping[str, tuple[int, ...]],
    optional: tuple[str, ...] = (),
) -> None:
    """Check names, types and shapes, before any array is read.

    ``lengths`` says how long axes may be, by their letter. Raises DataError.
    """
    missing = [name for name in expected if name not in found and name not in optional]
    if missing:
        raise DataError(f"it lacks {', '.join(missing)}")
    sizes: dict[str, tuple[str, int]] = {}
    for name, its in expected.items():
        if name not in found:
            continue
        shape, dtype = found[name]
        if dtype.kind not in _KINDS[its.kind]:
            raise DataError(f"{name} has the type {dtype}: expected {_WORDS[its.kind]}")
        if len(shape) != len(its.axes):
            raise DataError(f"{name} has the shape {shape}: expected {len(its.axes)} axes")
        for letter, length in zip(its.axes, shape, strict=True):
            allowed = (int(letter),) if letter.isdecimal() else lengths.get(letter)
            if allowed is not None and length not in allowed:
                listed = " or ".join(map(str, allowed))
                what = _AXES.get(letter, "entries")
                raise DataError(f"{name} has the shape {shape} for {listed} {what}")
            first, before = sizes.setdefault(letter, (name, length))
            if length != before:
                raise DataError(
                    f"{name} has the shape {shape}, and {first} has {before} for {length}: "
                    "expected one entry a frame in every array"
                )


def checked(
    arrays: Mapping[str, npt.NDArray], expected: Mapping[str, Expected]
) -> dict[str, npt.NDArray]:
    """Return the arrays in the types in which they are computed with.

    Raises DataError that names a value out of range.
    """
    return {name: _in_range(name, arrays[name], its) for name, its in expected.items()
            if name in arrays}  # fmt: skip


def _in_range(name: str, values: npt.NDArray, its: Expected) -> npt.NDArray:
    if its.kind == "b":
        return values
    whole = values.dtype.kind in "iu"
    known = values if whole else values[np.isfinite(values)]
    if its.finite and known.size != values.size:
        raise DataError(f"{name} holds NaN or infinite values")
    if known.size and not its.least <= known.min() <= known.max() <= its.most:
        beyond = known[(known < its.least) | (known > its.most)]
        raise DataError(f"{name} holds {beyond[0]}: expected {its.least:g} to {its.most:g}")
    if values.dtype == np.uint8:
        return values
    return values.astype(np.int64 if whole else np.float64, copy=False)
