"""A results store in one file, ``NAME.tar.xz``: to publish, to send, and to read as it is.

It holds the runs' files as the store has them, the arrays without their own compression and files
of one name beside one another: what runs have in common is stored once. The same runs give the same
bytes.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from vssbench.core.bounds import ARCHIVE
from vssbench.core.errors import DataError
from vssbench.core.files import draft, told
from vssbench.core.hidden import temporary
from vssbench.core.reading import check_readable
from vssbench.run.store import Run

#: how the name of such a file ends
SUFFIX = ".tar.xz"

#: a file of a run: its folder is the run's id
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
#: the same for every file, so that the same arrays give the same bytes
_EPOCH = (1980, 1, 1, 0, 0, 0)
#: bytes that are read, or expanded, at once; the most memory of the decoder, which needs 65 MiB
#: for what the strongest preset wrote
_BLOCK, _DECODER = 1 << 20, 256 << 20


def write_archive(runs: Iterable[Run], out: Path) -> None:
    """Write runs into one file. Raises DataError where one does not read, or the file cannot be
    written."""
    paths = [path for run in runs for path in run.path.iterdir()]
    with draft(out) as made, tarfile.open(made, "w:xz", preset=6) as archive:
        for path in sorted(paths, key=lambda path: (path.suffix, path.name, path.parent.name)):
            content = path.read_bytes()
            if path.suffix == ".npz":
                content = _uncompressed(content)
            entry = tarfile.TarInfo(f"{path.parent.name}/{path.name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield a folder of that name with the runs of a file, removed at the end.

    Raises DataError where the file does not read, or holds anything but runs.
    """
    check_readable(path)
    with temporary() as folder:
        store = folder / path.name
        with told(store):
            store.mkdir()
        with _read(path) as stream:
            try:
                with tarfile.open(fileobj=stream, mode="r|") as archive:
                    for member in archive:
                        _extract(archive, member, store, path)
                while stream.read(_BLOCK):  # a file that is cut is told from one that ends
                    pass
            except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
                raise DataError(
                    f"{path} does not read: {str(error) or 'it is cut'}; expected a store in one "
                    "file, as `collect` writes it"
                ) from error
        if not any(store.iterdir()):
            raise DataError(f"{path} holds no run")
        yield store


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, store: Path, path: Path) -> None:
    """Write one file of a run. Raises DataError for anything else."""
    if not member.isfile() or not _NAME.fullmatch(member.name):
        what = "" if member.isfile() else ", which is no file"
        raise DataError(
            f"{path} holds {member.name[:100]!r}{what}: expected files of runs alone, as RUN/FILE"
        )
    content = archive.extractfile(member)
    place = store / member.name
    with told(place):
        place.parent.mkdir(exist_ok=True)
        with place.open("xb") as file:
            while content is not None and (block := content.read(_BLOCK)):
                file.write(block)


class _Expanded(io.RawIOBase):
    """The content of an .xz file, as a file to read from; the memory that it takes is bounded."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path, self._count = file, path, 0
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DECODER)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the next bytes go; returns 0 at the end. Raises LZMAError for
        damaged bytes, EOFError for a file that is cut, DataError for one that holds too much."""
        block = b""
        while not block and not self._decoder.eof:
            fed = self._file.read(_BLOCK) if self._decoder.needs_input else b""
            if not fed and self._decoder.needs_input:
                raise EOFError
            block = self._decoder.decompress(fed, len(buffer))
        buffer[: len(block)] = block
        self._count += len(block)
        ARCHIVE.check(self._count, str(self._path))
        return len(block)


@contextmanager
def _read(path: Path) -> Iterator[_Expanded]:
    try:
        with path.open("rb") as file:
            yield _Expanded(file, path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _uncompressed(content: bytes) -> bytes:
    """Return an .npz with the same members as they are, which an archive compresses better."""
    plain = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(plain, "w") as new:
        for member in old.infolist():
            new.writestr(zipfile.ZipInfo(member.filename, _EPOCH), old.read(member))
    return plain.getvalue()
