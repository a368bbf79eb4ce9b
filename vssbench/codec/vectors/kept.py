"""Block vectors that were read of a stream before, in a file.

It is an .npz, written and read a few frames at a time, so that memory does not grow with the
stream. Of each part of FRAMES frames, in display order, it holds ``lists``, the number of lists of
vectors of each frame (none at a keyframe); ``past`` of each; ``references`` int32 (N, gh, gw) and
``vectors`` (N, gh, gw, 2) of all lists: int16 in parts of a pixel, of which ``parts`` make one, or
float32, with 0 parts, where those would not be the same to the bit.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from vssbench.codec.vectors.reader import BlockVectors, VectorReader, no_vectors
from vssbench.core.arrays import ARRAY_ERRORS, read_part
from vssbench.core.errors import DataError
from vssbench.core.motion import NONE, PictureVectors, Vectors, grid_shape
from vssbench.core.program import program
from vssbench.core.shortage import shortage

#: frames of a part
FRAMES = 32
#: parts of a pixel that codecs have
_PARTS = (4, 8, 2, 1)
_NAMES = ("lists", "past", "references", "vectors", "parts")
#: lists of vectors of a frame, and bytes of an array's header, at most
_MOST_LISTS, _HEADER = 2, 1024


class VectorWriter:
    """Writes the vectors of a stream's frames, given in display order."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
        self._waiting: list[PictureVectors | None] = []
        self._parts = 0

    def add(self, blocks: PictureVectors | None) -> None:
        """Take the vectors of the next frame, None at a keyframe. Raises OSError."""
        self._waiting.append(blocks)
        if len(self._waiting) == FRAMES:
            self._flush()

    def finish(self) -> None:
        """Write what waits, and close the file. Raises OSError."""
        if self._waiting:
            self._flush()
        self._archive.close()

    def abandon(self) -> None:
        """Close the file as it is; it is of no use."""
        self._waiting = []
        if self._archive.fp is not None:
            self._archive.fp.close()
            self._archive.fp = None

    def _flush(self) -> None:
        for name, array in _packed(self._waiting).items():
            text = io.BytesIO()
            np.lib.format.write_array(text, array, allow_pickle=False)
            # the same vectors make the same file: a member without a date
            member = zipfile.ZipInfo(f"{self._parts}.{name}.npy")
            self._archive.writestr(member, text.getvalue(), zipfile.ZIP_DEFLATED)
        self._waiting = []
        self._parts += 1


class KeptVectors(VectorReader):
    """Gives the vectors of a file, frame by frame, as the reader gave them that read the stream."""

    def __init__(self, path: Path, height: int, width: int, cell: int) -> None:
        super().__init__(height, width, cell)
        self.path = path
        self._frames: list[BlockVectors] = []
        try:
            self._archive = zipfile.ZipFile(path)
        except ARRAY_ERRORS as error:
            raise self._unreadable(error) from error

    def prepare(self, context: av.VideoCodecContext) -> None:
        """See VectorReader: nothing is asked of the decoder."""

    def picture(
        self, index: int, picture: av.VideoFrame, context: av.VideoCodecContext
    ) -> Iterator[tuple[int, BlockVectors]]:
        """See VectorReader."""
        part, place = divmod(index, FRAMES)
        try:
            if not place:
                self._frames = self._read(part)
            yield index, self._frames[place]
        except (*ARRAY_ERRORS, DataError) as error:
            raise self._unreadable(error) from error

    def close(self) -> None:
        """See VectorReader."""
        self._archive.close()

    def _read(self, part: int) -> list[BlockVectors]:
        rows, columns = grid_shape(self.height, self.width, self.cell)
        most = FRAMES * _MOST_LISTS * rows * columns * 8 + _HEADER
        arrays = {name: read_part(self._archive, f"{part}.{name}", most) for name in _NAMES}
        parts = int(arrays["parts"][0])
        vectors = arrays["vectors"].astype(np.float32)
        if parts:
            vectors /= np.float32(parts)
        ends = np.cumsum(arrays["lists"]).tolist()
        frames = []
        for begin, end, past in zip([0, *ends[:-1]], ends, arrays["past"].tolist(), strict=True):
            blocks = BlockVectors(vectors[begin:end], arrays["references"][begin:end], past)
            fits = blocks.references.shape[1:] == (rows, columns)
            if end > begin and not (fits and blocks.vectors.shape[1:] == (rows, columns, 2)):
                raise ValueError(f"its vectors are those of {blocks.references.shape[1:]} cells")
            frames.append(blocks if end > begin else no_vectors(self.height, self.width, self.cell))
        return frames

    def _unreadable(self, error: Exception) -> DataError:
        damaged = f"{self.path} is not as it was written: {error}"
        return DataError(shortage(error) or f"{damaged}; `{program()} cache clear` removes it")


def _packed(frames: Sequence[PictureVectors | None]) -> dict[str, npt.NDArray]:
    """Return the arrays of a part."""
    given = [blocks for blocks in frames if blocks is not None]
    empty = np.zeros((0, 0, 0), np.int32)
    vectors = np.concatenate(
        [blocks.vectors for blocks in given] or [np.zeros((0, 0, 0, 2), np.float32)]
    )
    whole, parts = _in_parts(vectors.astype(np.float32))
    return {
        "lists": np.array([0 if each is None else len(each.references) for each in frames]),
        "past": np.array([NONE if each is None else each.past for each in frames]),
        "references": np.concatenate([blocks.references for blocks in given] or [empty]),
        "vectors": whole,
        "parts": np.array([parts]),
    }


def _in_parts(vectors: Vectors) -> tuple[npt.NDArray, int]:
    """Return vectors as whole numbers of parts of a pixel, and how many make one; 0 parts and the
    vectors as they are where no such numbers give them to the bit."""
    limits = np.iinfo(np.int16)
    for parts in _PARTS:
        scaled = vectors * np.float32(parts)
        if not ((scaled >= limits.min) & (scaled <= limits.max)).all():
            continue
        whole = scaled.astype(np.int16)
        if (whole.astype(np.float32) / np.float32(parts)).tobytes() == vectors.tobytes():
            return whole, parts
    return vectors, 0
