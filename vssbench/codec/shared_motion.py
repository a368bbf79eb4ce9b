"""Motion that is read of a stream once and kept beside it, where that costs less than to read it
again.

Kept are the block vectors, of which the fields are made anew: they are a tenth of the size, and
serve any setting of the fields. An entry's name holds a hash of all that determines its content,
the stream's bytes and the source of the reader among it, and the checksum of its own.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from vssbench import native
from vssbench.codec import cache as caches
from vssbench.codec.bitstream import checksum, library_versions
from vssbench.codec.cache import MOTION_SUFFIX
from vssbench.codec.decode import MotionSource
from vssbench.codec.vectors.kept import VectorWriter
from vssbench.codec.vectors.reader import VectorReader
from vssbench.core import files
from vssbench.core.errors import DataError
from vssbench.core.video import Frame

_logger = logging.getLogger(__name__)

#: the packages whose source turns a stream into vectors
_PACKAGES = ("codec", "data", "native")
_SOURCE = (".py", ".c", ".h")


def frames(
    cache: Path,
    stream: Path,
    source: MotionSource,
    size: tuple[int, int],
    decoded: Callable[[MotionSource], Iterator[Frame]],
) -> Iterator[Frame]:
    """Yield the frames of a stream of the cache, as ``decoded`` gives them of a source of motion.

    Vectors that are kept are read from there, others are kept for the next time; the frames are the
    same to the bit. Their times are not those of reading motion. Of several processes that read one
    stream at a time one keeps its motion, and none waits for another. A damaged entry is read anew,
    and a cache that cannot be written keeps none.
    """
    key = _key(stream, source, size)
    with caches.in_use(cache, key):
        kept = _find(cache, key)
        if kept is not None:
            caches.touch(kept)
            yield from decoded(replace(source, kept=kept))
            return
    yield from _kept(cache, key, decoded(source))


def _kept(cache: Path, key: str, decoded: Iterator[Frame]) -> Iterator[Frame]:
    """Yield the frames, and keep their vectors once all are there."""
    with caches.recording(cache, key) as mine, _Keeping(cache, key, mine) as keeping:
        for frame in decoded:
            keeping.add(frame)
            yield frame
        keeping.finish()


class _Keeping:
    """An entry as it is written; whatever cannot be written is told, and left out."""

    def __init__(self, cache: Path, key: str, mine: bool) -> None:
        self.cache, self.key, self.mine = cache, key, mine
        self._stack = ExitStack()
        self._writer: VectorWriter | None = None

    def __enter__(self) -> _Keeping:
        if self.mine:
            try:
                self._drafts = self._stack.enter_context(files.drafts(self.cache))
                self._draft = self._drafts.path / f"motion{MOTION_SUFFIX}"
                self._writer = VectorWriter(self._draft)
            except OSError as error:
                self._give_up(error)
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.abandon()
        self._stack.close()

    def add(self, frame: Frame) -> None:
        """Take the vectors of the next frame."""
        if self._writer is not None:
            try:
                self._writer.add(None if frame.motion is None else frame.motion.blocks)
            except OSError as error:
                self._give_up(error)

    def finish(self) -> None:
        """Put the entry into its place, and keep to the limit of the cache."""
        if self._writer is None:
            return
        try:
            self._writer.finish()
            name = f"{self.key}.{checksum(self._draft)}{MOTION_SUFFIX}"
            self._drafts.publish(self._draft, self.cache / name)
            caches.trim(self.cache)
        except (OSError, DataError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if self._writer is not None:
            self._writer.abandon()
        self._writer = None
        _logger.warning("the motion of a stream is not kept in %s: %s", self.cache, error)


def _find(cache: Path, key: str) -> Path | None:
    """Return the entry of a key; one that is not as it was written is removed."""
    for path in sorted(cache.glob(f"{key}.*{MOTION_SUFFIX}")):
        try:
            if checksum(path) == path.suffixes[-2][1:]:
                return path
            reason = "its checksum is another"
        except (OSError, DataError) as error:
            reason = str(error)
        _logger.warning("%s is not as it was written (%s): motion is read anew", path, reason)
        with suppress(OSError):
            path.unlink()
    return None


def _key(stream: Path, source: MotionSource, size: tuple[int, int]) -> str:
    """Hash all that determines the vectors: the stream's content, what reads it, the grid."""
    reader = source.reader
    identity = {
        "stream": stream.name,
        "reader": [reader.__module__, reader.__qualname__, reader.library(), _source_of(reader)],
        "grid": [*size, source.settings.cell],
        "libraries": library_versions(),
        "kernels": native.video_kernels() is not None,
        "source": _source(),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


@lru_cache
def _source_of(reader: type[VectorReader]) -> str:
    """Hash the file of a reader, which a plug-in may bring."""
    return hashlib.sha256(Path(inspect.getfile(reader)).read_bytes()).hexdigest()


@lru_cache
def _source() -> str:
    """Hash the source of the packages that turn a stream into vectors."""
    digest, root = hashlib.sha256(), Path(__file__).parents[1]
    for path in sorted(path for name in _PACKAGES for path in (root / name).rglob("*")):
        if path.suffix in _SOURCE:
            digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
