"""Arrays of .npz and .npy files read within bounds: no more memory is taken than a bound, and none
before names, types and shapes are known to fit."""

from __future__ import annotations

import io
import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
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
#: bytes that are read of an array first: its header
_FIRST = 1 << 14
#: bytes of a file, and of its arrays, that are read at once, before they are known to fit
_SMALL = 1 << 20
#: the codes that numpy writes; others are left to zipfile
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: bytes of the head of a member, and where it says how long its name and what follows it are
_HEAD, _LENGTHS = 30, 26
_SUFFIX = ".npy"


def read_arrays(
    path: Path, fits: Callable[[Mapping[str, Header]], None], content: bytes = b""
) -> dict[str, npt.NDArray] | None:
    """Return the arrays of an .npz file, None where there is none.

    ``fits`` is shown their types and shapes first; ``content`` is that of the file where it is
    known. Raises DataError.
    """
    try:
        small = content or small_content(path)
        with zipfile.ZipFile(io.BytesIO(small) if small else path) as archive:
            found = {info.filename: info for info in archive.infolist()}
            total = sum(info.file_size for info in found.values())
            ARRAYS.check(total, "its arrays")
            members = {
                name.removesuffix(_SUFFIX): (
                    _small(small, info)
                    if small and total <= _SMALL and info.compress_type in _PLAIN
                    else _member(archive, info)
                )
                for name, info in found.items()
            }
            fits({name: (each.its.shape, each.its.dtype) for name, each in members.items()})
            return {name: _array(archive, member) for name, member in members.items()}
    except FileNotFoundError:
        return None
    except DataError:
        raise
    except ARRAY_ERRORS as error:
        short = shortage(error)
        raise DataError(short or _first_line(error)) from error


def small_content(path: Path) -> bytes:
    """Return the content of a file that is read at once, since to open each of its arrays by itself
    would take longer; nothing of a larger one. Raises OSError, DataError."""
    return path.read_bytes() if reading.check_readable(path) <= _SMALL else b""


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
        size = reading.check_readable(path)
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
        its = _described(file.read(_FIRST), path.name, size)
    except DataError as error:
        raise DataError(f"{path} cannot be read as an array ({error}): write it again") from error
    return its.shape, its.dtype


@dataclass(frozen=True)
class _Described:
    """An array as its header says: its shape, type and order, and the byte at which its values
    begin."""

    shape: tuple[int, ...]
    dtype: np.dtype
    by_columns: bool
    begins: int


@dataclass(frozen=True)
class _Member:
    """An array of an archive, and all of its bytes where they came with its header."""

    info: zipfile.ZipInfo
    its: _Described
    content: bytes | None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    """Read an array's header. Raises DataError where the file has not the bytes that it says."""
    with archive.open(info) as member:
        first = member.read(_FIRST)
    return _Member(info, _described(first, info.filename, info.file_size), None)


def _small(data: bytes, info: zipfile.ZipInfo) -> _Member:
    """Return a member of an archive whose bytes are all there. Raises DataError where it has not
    the bytes that it says, and what ARRAY_ERRORS names where it is damaged."""
    try:
        lengths = struct.unpack_from("<HH", data, info.header_offset + _LENGTHS)
    except struct.error as error:
        raise zipfile.BadZipFile(f"{info.filename} lies beyond the end") from error
    begins = info.header_offset + _HEAD + sum(lengths)
    content = data[begins : begins + info.compress_size]
    if info.compress_type == zipfile.ZIP_DEFLATED:
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, info.file_size + 1)
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")
    return _Member(info, _described(content, info.filename, info.file_size), content)


def _described(first: bytes, name: str, size: int) -> _Described:
    """Return what an array's header says; ``first`` is where a file of that name and size begins.

    Raises DataError where it has not the bytes that it says.
    """
    count_bytes = 2 if first[6:7] == b"\1" else 4  # of the header's length, by the format's version
    begins = 8 + count_bytes + int.from_bytes(first[8 : 8 + count_bytes], "little")
    if begins > _HEADER + 8 + count_bytes:
        raise DataError(f"{name} has a header of {begins} bytes: expected at most {_HEADER}")
    found = _header(first[:begins])
    if found is None:
        version = ".".join(map(str, first[6:8]))
        raise DataError(f"{name} has version {version} of numpy's format")
    shape, by_columns, dtype = found
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
    return _Described(shape, dtype, by_columns, begins)


@lru_cache(maxsize=1024)  # the arrays of all runs have few headers, and numpy parses them slowly
def _header(text: bytes) -> tuple[tuple[int, ...], bool, np.dtype] | None:
    """Return the shape, order and type of a whole header; None for an unknown version of it."""
    file = io.BytesIO(text)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(np.lib.format.read_magic(file))
    return None if read is None else read(file, max_header_size=_HEADER)


def _array(archive: zipfile.ZipFile, member: _Member) -> npt.NDArray:
    """Return an array's values; the archive compares its checksum."""
    whole = archive.read(member.info) if member.content is None else member.content
    # a bytearray, since arrays over bytes cannot be written to
    values = np.frombuffer(bytearray(whole), member.its.dtype, offset=member.its.begins)
    return values.reshape(member.its.shape, order="F" if member.its.by_columns else "C")
