"""The compiled kernels of motion (``motion.c``) and colour (``colour.c``), on numpy arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: distinct references of a picture beyond which numpy counts them
_MOST_REFERENCES = 64
_NUMBER, _POINTER = ctypes.c_int64, ctypes.c_void_p
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "motion_rasterise": (_POINTER, *[_NUMBER] * 5, *[_POINTER] * 3),
    "motion_distinct": (_POINTER, _NUMBER, _POINTER, _NUMBER),
    "motion_settle": (
        _POINTER,
        _POINTER,
        *[_NUMBER] * 3,
        ctypes.c_int32,
        ctypes.c_int32,
        *[_POINTER] * 3,
    ),
    "motion_compose": (_POINTER, _POINTER, *[_NUMBER] * 4, *[_POINTER] * 3),
    "motion_predict": (
        _POINTER,
        _POINTER,
        *[_NUMBER] * 3,
        _POINTER,
        _POINTER,
        _NUMBER,
        _NUMBER,
        _POINTER,
    ),
    "colour_rgb": (_POINTER, _POINTER, _NUMBER, _NUMBER, _POINTER),
}


class _Planes(ctypes.Structure):
    _fields_ = (
        ("y", _POINTER), ("u", _POINTER), ("v", _POINTER),
        ("y_stride", _NUMBER), ("u_stride", _NUMBER), ("v_stride", _NUMBER),
        ("height", _NUMBER), ("width", _NUMBER),
    )  # fmt: skip


class VideoKernels:
    """Thin: shapes are the callers' to know, types and contiguity are seen to. The interpreter's
    lock is released."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        for name, arguments in _ARGUMENTS.items():
            function = getattr(library, name)
            function.argtypes = arguments
            function.restype = _NUMBER if name == "motion_distinct" else None

    def rasterise(
        self, records: Array, shape: tuple[int, int], cell: int, names: Sequence[int]
    ) -> tuple[Array, Array]:
        """Return AVMotionVector ``records`` on a grid of ``shape``: vectors float32 (L, gh, gw, 2),
        references int32 (L, gh, gw).

        L is the number of ``names``: of the past picture and, where given, of the future one.
        ``cell`` is a power of two.
        """
        records, order, layers, shift = (
            np.ascontiguousarray(records),
            _integers(names),
            len(names),
            cell.bit_length() - 1,
        )
        vectors, references = (
            np.empty((layers, *shape, 2), np.float32),
            np.empty((layers, *shape), np.int32),
        )
        self._library.motion_rasterise(
            _at(records),
            len(records),
            layers,
            *shape,
            shift,
            _at(order),
            _at(vectors),
            _at(references),
        )
        return vectors, references

    def distinct(self, numbers: Array) -> list[int]:
        """Return the distinct numbers of an int32 array, ascending."""
        numbers = _integers(numbers)
        distinct = np.empty(_MOST_REFERENCES, np.int32)
        count = self._library.motion_distinct(
            _at(numbers), numbers.size, _at(distinct), len(distinct)
        )
        return sorted(distinct[:count].tolist()) if count >= 0 else np.unique(numbers).tolist()

    def settle(
        self, vectors: Array, references: Array, index: int, past: int, nearest: bool
    ) -> tuple[Array, Array]:
        """Return one vector and reference a cell, from (L, gh, gw, 2) and (L, gh, gw); holes by the
        nearest cell or zero."""
        vectors, references = _floats(vectors), _integers(references)
        layers, rows, columns = references.shape
        settled, names = (
            np.empty((rows, columns, 2), np.float32),
            np.empty((rows, columns), np.int32),
        )
        scratch = np.empty((rows, columns), np.int32) if nearest else None
        self._library.motion_settle(
            _at(vectors),
            _at(references),
            layers,
            rows,
            columns,
            index,
            past,
            _at(scratch),
            _at(settled),
            _at(names),
        )
        return settled, names

    def compose(
        self,
        step: Array,
        references: Array,
        cell: int,
        whole_pixels: bool,
        names: Sequence[int],
        fields: Sequence[Array],
    ) -> Array:
        """Add to each step the fields at its end: (gh, gw, 2).

        The fields are those of the pictures ``names``, all that it refers to.
        """
        step, references = _floats(step), _integers(references)
        fields = [_floats(field) for field in fields]
        result, order = np.empty_like(step), np.array(names, np.int32)
        self._library.motion_compose(
            _at(step),
            _at(references),
            *references.shape,
            cell,
            whole_pixels,
            _at(order),
            _table(fields),
            _at(result),
        )
        return result

    def predict(
        self,
        step: Array,
        references: Array,
        cell: int,
        names: Sequence[int],
        images: Sequence[Array],
    ) -> Array:
        """Read the images ``names``, uint8, at each pixel plus its cell's vector.

        The result is float32 (H, W, 3).
        """
        step, references = _floats(step), _integers(references)
        images = [np.ascontiguousarray(image, np.uint8) for image in images]
        height, width = images[0].shape[:2]
        result, order = np.empty((height, width, 3), np.float32), np.array(names, np.int32)
        self._library.motion_predict(
            _at(step),
            _at(references),
            *references.shape,
            cell,
            _at(order),
            _table(images),
            height,
            width,
            _at(result),
        )
        return result

    def rgb(self, planes: Sequence[Array], weights: Array, height: int, width: int) -> Array:
        """Convert planes Y, U, V to RGB: uint8 (height, width, 3).

        The planes' rows are contiguous; see ``colour.c`` for ``weights``.
        """
        luma, *chroma = planes
        described = _Planes(
            *map(_at, planes), *(plane.strides[0] for plane in (luma, *chroma)), *luma.shape
        )
        result = np.empty((height, width, 3), np.uint8)
        self._library.colour_rgb(ctypes.byref(described), _at(weights), height, width, _at(result))
        return result


def _at(array: Array | None) -> int | None:
    return None if array is None else array.ctypes.data


def _floats(array: Array) -> Array:
    return np.ascontiguousarray(array, np.float32)


def _integers(array: Array | Sequence[int]) -> Array:
    return np.ascontiguousarray(array, np.int32)


def _table(arrays: Sequence[Array]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*map(_at, arrays))
