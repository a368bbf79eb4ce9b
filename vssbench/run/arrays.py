"""Reads a run's arrays: no more memory is taken than a bound, and none before names, types and
shapes are known to fit."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vssbench.core import reading
from vssbench.core.bounds import ARRAYS
from vssbench.core.errors import DataError
from vssbench.metrics.expected import Header

#: what damaged archives and arrays give, in numpy and zipfile
_ERRORS = (
    OSError, ValueError, KeyError, EOFError, IndexError, TypeError, SyntaxError, OverflowError,
    RuntimeError, NotImplementedError, AttributeError, UnicodeError, MemoryError, RecursionError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
#: characters of an array's header: numpy's own bound for files that are not trusted
_HEADER = 10_000
_SUFFIX = ".npy"


def read_arrays(
    path: Path, fits: Callable[[Mapping[str, Header]], None]
) -> dict[str, npt.NDArray] | None:
    """The arrays of an .npz file, None where there is none.

    ``fits`` is shown their types and shapes first. Raises DataError.
    """
    try:
        reading.check_readable(path)
        with zipfile.ZipFile(path) as archive:
            found = {info.filename: info for info in archive.infolist()}
            ARRAYS.check(sum(info.file_size for info in found.values()), "its arrays")
            members = {name.removesuffix(_SUFFIX): info for name, info in found.items()}
            fits({name: _header(archive, info) for name, info in members.items()})
            return {name: _array(archive, info) for name, info in members.items()}
    except FileNotFoundError:
        return None
    except DataError:
        raise
    except _ERRORS as error:
        message = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(message) from error


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Header:
    """Return shape and type of an array. Raises DataError where the file has not its bytes."""
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise DataError(f"{info.filename} has version {version} of numpy's format")
        shape, _, dtype = read(member, max_header_size=_HEADER)
        begins = member.tell()
    if dtype.hasobject or dtype.kind not in "biuf":
        raise DataError(f"{info.filename} has the type {dtype}: expected numbers")
    count = 1
    for length in shape:  # Python's whole numbers: no product is too large for them
        if length < 0:
            raise DataError(f"{info.filename} has the shape {shape}")
        count *= length
    if count * dtype.itemsize != info.file_size - begins:
        raise DataError(
            f"{info.filename} holds {info.file_size - begins} bytes: expected "
            f"{count * dtype.itemsize} for the shape {shape}"
        )
    return shape, dtype


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray:
    with archive.open(info) as member:
        values = np.lib.format.read_array(member, allow_pickle=False, max_header_size=_HEADER)
        member.read()  # to the end, where the checksum is compared
    return values
