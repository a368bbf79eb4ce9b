"""A results store in one file, ``NAME.tar.xz``: to publish, to send, and to read as it is.

It holds the files of runs, the arrays without their own compression, the confusion matrices folded
(:mod:`vssbench.run.folded`) and files of one name beside one another: what runs have in common is
stored once. The same runs give the same bytes, and are the same again when it is expanded. Such a
file may come from anywhere: of what a tar archive can hold, only plain files are read, and what it
takes when it is expanded is bounded.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from vssbench.core.arrays import read_arrays
from vssbench.core.bounds import ARCHIVE
from vssbench.core.errors import DataError
from vssbench.core.files import draft
from vssbench.core.hidden import temporary
from vssbench.core.naming import named
from vssbench.core.program import program
from vssbench.core.reading import check_readable, read_bytes
from vssbench.run.folded import fold, unfold
from vssbench.run.records import damaged, unreadable
from vssbench.run.stored import CONFUSION, ENVIRONMENT, LOG, RESULT, Run

#: a file of a run, in the folder that has the run's id; a folder, which a tar archive may name, too
_FILE = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_FOLDER = re.compile(r"|[A-Za-z0-9][\w.-]*", re.ASCII)
#: the same for every file, so that the same arrays give the same bytes
_EPOCH = (1980, 1, 1, 0, 0, 0)
#: bytes that are read, or expanded, at once; the most memory of the decoder, which needs 65 MiB
#: for what the strongest preset wrote
_BLOCK, _DECODER = 1 << 20, 256 << 20
#: the array of confusion matrices in a run, and in an archive
_MATRICES, _FOLDED = "matrices", "folded"


def files_of(run: Run) -> list[Path]:
    """Return the files of a run, and of its folder no others. Raises DataError where one is no
    plain file, or does not read."""
    names = {RESULT, ENVIRONMENT, LOG} & {path.name for path in run.path.iterdir()}
    paths = [run.path / name for name in sorted({*names, *run.files})]
    for path in paths:
        if path.is_symlink() or not path.is_file():
            raise DataError(f"{path} is no plain file: put it elsewhere, or a copy in its place")
        if not _FILE.fullmatch(f"{path.parent.name}/{path.name}"):
            raise DataError(
                f"{path}: expected names of letters, digits, '.', '_' and '-': rename it"
            )
        try:
            if path.suffix == ".npz":
                read_arrays(path, lambda _: None)
            else:
                read_bytes(path)
        except (DataError, OSError) as error:
            raise unreadable(path, error) from error
    return paths


def write_archive(runs: Iterable[tuple[Run, Iterable[Path]]], out: Path) -> None:
    """Write runs with their files, as :func:`files_of` gives them, into one file. Raises DataError
    where one does not read, or the file cannot be written."""
    places = [(_beside(run, path), path) for run, paths in runs for path in paths]
    with (
        draft(out) as made,
        lzma.open(made, "wb", preset=6 | lzma.PRESET_EXTREME) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for _, path in sorted(places):
            content = path.read_bytes() if path.suffix != ".npz" else _uncompressed(path)
            entry = tarfile.TarInfo(f"{path.parent.name}/{path.name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def _beside(run: Run, path: Path) -> tuple[str, ...]:
    """Return the order of a file in an archive: what is alike lies together, as the streams of one
    codec do."""
    own = run.measurement
    subject = own.dataset, own.protocol, own.codec_name, own.method, own.codec
    return (path.suffix, path.name, *subject, path.parent.name)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield a folder with the runs of a file, removed at the end; messages call it as the file.

    Raises DataError where the file does not read, or holds anything but runs, and where there is no
    room for them.
    """
    try:
        check_readable(path)
        place = tempfile.gettempdir()
    except FileNotFoundError as error:
        if not path.exists():
            raise DataError(
                f"there is no {path}: expected a results store in one file, as `{program()} "
                "collect` writes it"
            ) from error
        raise DataError(
            f"{path} is expanded in a temporary folder, and there is none that can be written: set "
            "TMPDIR to one"
        ) from error
    with temporary() as folder:
        store = folder / path.name
        with named(store, path):
            try:
                store.mkdir()
                with path.open("rb") as file:
                    _expand(_Expanded(file), store, path)
            except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
                raise DataError(
                    f"{path} does not read: {_reason(error)}; expected a store in one file, as "
                    f"`{program()} collect` writes it"
                ) from error
            except OSError as error:
                raise DataError(
                    f"{path} cannot be expanded in {place}: {error.strerror}; make room there, or "
                    "set TMPDIR to another folder"
                ) from error
            yield store


def _reason(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "it is cut"
    if "limit" in str(error):
        return f"it was compressed so that {_DECODER >> 20} MiB of memory do not suffice to read it"
    return str(error) or "it is damaged"


def _expand(stream: _Expanded, store: Path, path: Path) -> None:
    """Write the files of an archive; its own blocks are read here, since what the extensions of
    the format can say (links, holes, names of any length) has no place in a store."""
    seen: set[str] = set()
    grown = 0
    while any(head := stream.exactly(tarfile.BLOCKSIZE)):
        member = tarfile.TarInfo.frombuf(head, "utf-8", "strict")
        name = member.name.removeprefix("./").rstrip("/")
        if member.type == tarfile.DIRTYPE and _FOLDER.fullmatch(name.removeprefix(".")):
            continue
        plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        if not plain or not _FILE.fullmatch(name):
            raise DataError(
                f"{path} holds {name[:100]!r}{'' if plain else ', which is no plain file'}: "
                "expected files of runs alone, as RUN/FILE"
            )
        if name in seen:
            raise DataError(f"{path} holds {name} twice: expected each file of a run once")
        seen.add(name)
        if member.size < 0:
            raise tarfile.HeaderError(f"{name} has {member.size} bytes")
        ARCHIVE.check(stream.count + grown + member.size, str(path))
        (store / name).parent.mkdir(exist_ok=True)
        with (store / name).open("xb") as file:
            for size in _pieces(member.size):
                file.write(stream.exactly(size))
        if name.endswith(f"/{CONFUSION}"):
            grown += _restore(store / name)
        stream.exactly(-member.size % tarfile.BLOCKSIZE)
    while block := stream.read(_BLOCK):
        ARCHIVE.check(stream.count, str(path))
        if any(block):
            raise tarfile.ReadError("it goes on after its end")
    if stream.more():
        raise tarfile.ReadError("it goes on after its end")
    if not seen:
        raise DataError(f"{path} holds no run: expected files of runs, as RUN/FILE")


def _pieces(size: int) -> Iterator[int]:
    for start in range(0, size, _BLOCK):
        yield min(_BLOCK, size - start)


class _Expanded:
    """The content of an .xz file; the memory that it takes is bounded. ``count`` is how many bytes
    were read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.count = file, 0
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DECODER)

    def read(self, size: int) -> bytes:
        """Return at most so many bytes, none at the end. Raises LZMAError for damaged bytes,
        EOFError for a file that is cut."""
        block = b""
        while not block and not self._decoder.eof and size:
            fed = self._file.read(_BLOCK) if self._decoder.needs_input else b""
            if not fed and self._decoder.needs_input:
                raise EOFError
            block = self._decoder.decompress(fed, size)
        self.count += len(block)
        return block

    def exactly(self, size: int) -> bytes:
        """Return so many bytes. Raises what :meth:`read` does, EOFError where there are less."""
        parts, left = [], size
        while left:
            if not (block := self.read(left)):
                raise EOFError
            parts.append(block)
            left -= len(block)
        return b"".join(parts)

    def more(self) -> bool:
        """Return whether anything but padding follows the end."""
        rest = self._decoder.unused_data
        while rest:
            if any(rest):
                return True
            rest = self._file.read(_BLOCK)
        return any(self._file.read(_BLOCK))


def _uncompressed(path: Path) -> bytes:
    """Return an .npz with the same arrays, which an archive compresses better. Raises DataError
    where they do not read."""
    try:
        arrays = read_arrays(path, lambda _: None)
    except DataError as error:
        raise unreadable(path, error) from error
    if arrays is None:
        raise damaged(path, "is missing")
    cells = fold(arrays[_MATRICES]) if _MATRICES in arrays else None
    return _npz(arrays if cells is None else _renamed(arrays, _MATRICES, _FOLDED, cells))


def _restore(path: Path) -> int:
    """Unfold the matrices of a run, and return how many bytes its file is larger. One without any
    stays as it is, and so does one that is damaged: whoever reads it says so."""
    with suppress(DataError):
        arrays = read_arrays(path, lambda _: None) or {}
        if _FOLDED in arrays and _MATRICES not in arrays:
            matrices = unfold(arrays[_FOLDED])
            path.write_bytes(_npz(_renamed(arrays, _FOLDED, _MATRICES, matrices)))
            return matrices.nbytes - arrays[_FOLDED].nbytes
    return 0


def _renamed(
    arrays: Mapping[str, npt.NDArray], old: str, new: str, value: npt.NDArray
) -> dict[str, npt.NDArray]:
    """Return arrays with another in the place of one of them."""
    return dict((new, value) if name == old else (name, each) for name, each in arrays.items())


def _npz(arrays: Mapping[str, npt.NDArray]) -> bytes:
    """Return an .npz without compression, the same bytes for the same arrays."""
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
    return plain.getvalue()
