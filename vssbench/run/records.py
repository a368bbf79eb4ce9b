"""A run's arrays: what each file of a run holds, and how it is read within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from vssbench.core.arrays import read_arrays
from vssbench.core.errors import DataError
from vssbench.core.naming import called, is_archive
from vssbench.metrics.expected import MOST_DISTANCE, Expected, check_headers, checked

#: what to do about a run that does not read, in a folder and in a store in one file; it may be
#: sound, and only this reader at fault
REMEDY = "run the experiment again with --force: it is measured anew and replaced"
ARCHIVE_REMEDY = "get the file that holds the store again from where it came"

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def arrays_of(record: Any) -> dict[str, npt.NDArray]:
    """Return the arrays of a record by their names, without those that it lacks."""
    arrays = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: array for name, array in arrays.items() if array is not None}


def _same_length(record: Any) -> None:
    lengths = {name: len(array) for name, array in arrays_of(record).items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(
            f"{type(record).__name__} needs one entry a frame in every array; found {listed}"
        )


@dataclass(frozen=True, eq=False)
class ConfusionRecord:
    """Confusion matrices of the scored frames: int64 (F, C, C), rows are the truth; the rest is
    int64 (F,). A last row and column beyond the dataset's classes is an output of no class.

    ``distances`` counts frames since the keyframe; ``clips`` and ``frames`` index the clip and the
    frame in it. ``groups`` numbers what an interval draws as one (see
    :class:`vssbench.core.video.Clip`), None where each clip is drawn by itself. ``views`` is the
    number of the first clip that shows the same labelled frame, None where each shows its own.
    """

    matrices: Ints
    distances: Ints
    clips: Ints
    frames: Ints
    groups: Ints | None = None
    views: Ints | None = None

    def __post_init__(self) -> None:
        _same_length(self)


@dataclass(frozen=True, eq=False)
class LatencyRecord:
    """Times of the timed frames, milliseconds, float64 (F,); ``distances`` int64 (F,); ``key`` bool
    (F,)."""

    distances: Ints
    key: npt.NDArray[np.bool_]
    decode_ms: Floats
    motion_ms: Floats
    model_ms: Floats

    def __post_init__(self) -> None:
        _same_length(self)


@dataclass(frozen=True, eq=False)
class StreamRecord:
    """The decoded frames as the codec made them, whether scored or not; one entry a frame.

    ``clips`` and ``frames`` int64; ``types`` uint8, the code of I, P or B; ``bits`` int64, from
    packets; ``psnr_db`` (infinite without loss) and ``ssim`` of luma, float64. Of the field to the
    keyframe, where the method read one, else NaN: ``intra_share``, mean and 95th percentile of the
    vectors' length in pixels, and the mean absolute error in grey levels of the keyframe moved by
    it (see :class:`vssbench.codec.prediction.FieldStatistics`).
    """

    clips: Ints
    frames: Ints
    types: npt.NDArray[np.uint8]
    bits: Ints
    psnr_db: Floats
    ssim: Floats
    intra_share: Floats
    mean_vector: Floats
    p95_vector: Floats
    warp_error: Floats

    def __post_init__(self) -> None:
        _same_length(self)


_Record = TypeVar("_Record", ConfusionRecord, LatencyRecord, StreamRecord)


#: the arrays of records as they are stored; F is a scored frame, T a timed one, S a decoded one
_EXPECTED: dict[type, dict[str, Expected]] = {
    ConfusionRecord: {
        "matrices": Expected("FCC"),
        "distances": Expected("F", most=MOST_DISTANCE),
        "clips": Expected("F"),
        "frames": Expected("F"),
        "groups": Expected("F"),
        "views": Expected("F"),
    },
    LatencyRecord: {
        "distances": Expected("T", most=MOST_DISTANCE),
        "key": Expected("T", "b"),
        "decode_ms": Expected("T", "f", most=1e12),
        "motion_ms": Expected("T", "f", most=1e12),
        "model_ms": Expected("T", "f", most=1e12),
    },
    StreamRecord: {
        "clips": Expected("S"),
        "frames": Expected("S"),
        "types": Expected("S", least=ord(" "), most=ord("~")),
        "bits": Expected("S"),
        **{
            name: Expected("S", "f", least=-1e12, most=1e12, finite=False)
            for name in (
                "psnr_db", "ssim", "intra_share", "mean_vector", "p95_vector", "warp_error",
            )
        },
    },
}  # fmt: skip


def load_record(
    path: Path,
    kind: type[_Record],
    lengths: Mapping[str, tuple[int, ...]] | None = None,
    content: bytes = b"",
) -> _Record | None:
    optional = tuple(field.name for field in fields(kind) if field.default is not MISSING)
    arrays = _read(path, _EXPECTED[kind], lengths or {}, optional, content)
    return None if arrays is None else kind(**arrays)


def _read(
    path: Path,
    expected: Mapping[str, Expected],
    lengths: Mapping[str, tuple[int, ...]],
    optional: tuple[str, ...],
    content: bytes,
) -> dict[str, npt.NDArray] | None:
    """Read arrays that were stored as expected, and leave out others. Raises DataError."""
    fits = partial(check_headers, expected=expected, lengths=lengths, optional=optional)
    try:
        arrays = read_arrays(path, fits, content)
        return None if arrays is None else checked(arrays, expected)
    except DataError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception | str) -> DataError:
    """Return the error of a file of a run that does not read."""
    return damaged(path, f"does not read: {error}")


def damaged(path: Path, fault: str) -> DataError:
    """Return the error of a file of a run that has a fault, with what to do about it."""
    name = called(path)
    archived = any(is_archive(parent) for parent in name.parents)
    return DataError(f"{name} {fault}; {ARCHIVE_REMEDY if archived else REMEDY}")
