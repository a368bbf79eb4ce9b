"""Arrays of .npz and .npy files read within bounds: no more memory is taken than a bound, and none
before names, types and shapes are known to fit."""

from __future__ import annotations

import lzma
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from vssbench.core import reading
from vssbench.core.bounds import ARRAYS
from vssbench.core.errors import DataError
from vssbench.core.shortage import shortage

#: the shape and type of an array
Header = tuple[tuple[int, ...], np.dtype]

#: what damaged archives and arrays give, in numpy and zipfile
ARRAY_ERRORS = (
    OSError, ValueError, KeyError, EOFError, IndexError, TypeError, SyntaxError, OverflowError,
    RuntimeError, NotImplementedError, AttributeError, UnicodeError, MemoryError, RecursionError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError,
)  # fmt: skip
#: characters of an array's header: numpy's own bound for files that are not trusted
_HEADER = 10_000
_SUFFIX = ".npy"


def read_arrays(
    path: Path, fits: Callable[[Mapping[str, Header]], None]
) -> dict[str, npt.NDArray] | None:
    """Return the arrays of an .npz file, None where there is none.

    ``fits`` is shown their types and shapes first. Raises DataError.
    """
    try:
        reading.check_readable(path)
        with zipfile.ZipFile(path) as archive:
            found = {info.filename: info for info in archive.infolist()}
            ARRAYS.check(sum(info.file_size for info in found.values()), "its arrays")
            members = {
                name.removesuffix(_SUFFIX): _member(archive, info) for name, info in found.items()
            }
            fits({name: (member.shape, member.dtype) for name, member in members.items()})
            return {name: _array(archive, member) for name, member in members.items()}
    except FileNotFoundError:
        return None
    except DataError:
        raise
    except ARRAY_ERRORS as error:
        short = shortage(error)
        raise DataError(short or _first_line(error)) from error


def read_part(archive: zipfile.ZipFile, name: str, most: int) -> npt.NDArray:
    """Return one array of an open .npz file, of ``most`` bytes with its header at the most.

    Raises DataError where the array is larger or not as it says, KeyError where there is none of
    that name, and what ARRAY_ERRORS names where the archive is damaged.
    """
    info = archive.getinfo(f"{name}{_SUFFIX}")
    if info.file_size > most:
        raise DataError(f"{info.filename} takes {info.file_size} bytes, at most {most}")
    return _array(archive, _member(archive, info))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def read_array(path: Path, fits: Callable[[Header], None]) -> npt.NDArray:
    """Return the array of an .npy file; ``fits`` is shown its type and shape first. Raises
    DataError."""
    try:
        reading.check_readable(path)
        size = path.stat().st_size
        ARRAYS.check(size, f"{path} is too large")
        with path.open("rb") as file:
            header = _told(file, path, size)
            fits(header)
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False, max_header_size=_HEADER)
    except DataError:
        raise
    except ARRAY_ERRORS as error:
        raise DataError(
            reading.fault_elsewhere(path, error)
            or f"{path} cannot be read as an array ({_first_line(error)}): write it again"
        ) from error


def _told(file: IO[bytes], path: Path, size: int) -> Header:
    try:
        return _described(file, path.name, size)[:2]
    except DataError as error:
        raise DataError(f"{path} cannot be read as an array ({error}): write it again") from error


@dataclass(frozen=True)
class _Member:
    """An array of an archive: its shape, type and order, and the byte at which its values begin."""

    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype
    by_columns: bool
    begins: int


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    """Read an array's header. Raises DataError where the file has not the bytes that it says."""
    with archive.open(info) as member:
        return _Member(info, *_described(member, info.filename, info.file_size))


def _described(
    member: IO[bytes], name: str, size: int
) -> tuple[tuple[int, ...], np.dtype, bool, int]:
    """Return an array's shape, type and order, and the byte at which its values begin, of a file
    with that name and size. Raises DataError where it has not the bytes that it says."""
    version = np.lib.format.read_magic(member)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise DataError(f"{name} has version {version} of numpy's format")
    shape, by_columns, dtype = read(member, max_header_size=_HEADER)
    begins = member.tell()
    if dtype.hasobject or dtype.kind not in "biuf":
        raise DataError(f"{name} has the type {dtype}: expected numbers")
    count = 1
    for length in shape:  # Python's whole numbers: no product is too large for them
        if length < 0:
            raise DataError(f"{name} has the shape {shape}")
        count *= length
    if count * dtype.itemsize != size - begins:
        raise DataError(
            f"{name} holds {size - begins} bytes: expected "
            f"{count * dtype.itemsize} for the shape {shape}"
        )
    return shape, dtype, by_columns, begins


def _array(archive: zipfile.ZipFile, member: _Member) -> npt.NDArray:
    """Read an array's values; the archive compares its checksum."""
    # a bytearray, since arrays over bytes cannot be written to
    content = bytearray(archive.read(member.info))
    values = np.frombuffer(content, member.dtype, offset=member.begins)
    return values.reshape(member.shape, order="F" if member.by_columns else "C")
