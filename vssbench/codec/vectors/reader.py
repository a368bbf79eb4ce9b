"""A picture's block vectors, and the interface of those who read them from a decoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import av
import numpy as np

from vssbench import native
from vssbench.core.motion import NONE, References, Vectors, grid_shape
from vssbench.native.video import VideoKernels


@dataclass(frozen=True, eq=False)
class BlockVectors:
    """One picture's own motion vectors on a grid of cells.

    ``vectors`` float32 (L, gh, gw, 2): pixels (x, y); a pixel p of a cell lies at ``p + vector`` in
    the picture that ``references`` int32 (L, gh, gw) names by its index in display order, NONE
    where the cell has no vector (which is then zero). L is 2 where a block may be predicted from
    two pictures, else 1. ``past`` is the nearest earlier picture that this one may refer to (what a
    cell without a vector is taken to resemble), NONE in a keyframe.
    """

    vectors: Vectors
    references: References
    past: int

    @property
    def intra_share(self) -> float:
        """Share of the cells that have no vector at all."""
        return float(np.mean((self.references == NONE).all(0)))

    @cached_property
    def named(self) -> list[int]:
        """The pictures that the vectors point at, by display index."""
        return [index for index in distinct(self.references) if index != NONE]


def distinct(numbers: References) -> list[int]:
    """Return the distinct numbers, ascending."""
    kernels = native.video_kernels()
    return kernels.distinct(numbers) if kernels is not None else np.unique(numbers).tolist()


@native.check_video_with
def _cases(kernels: VideoKernels) -> Iterator[tuple[str, Any, Any]]:
    numbers = np.random.default_rng(0).choice([-1, -1, 3, 5], (2, 5, 7)).astype(np.int32)
    yield "distinct numbers", kernels.distinct(numbers), np.unique(numbers)


def no_vectors(height: int, width: int, cell: int, past: int = NONE) -> BlockVectors:
    """Return a picture of intra blocks alone."""
    shape = (1, *grid_shape(height, width, cell))
    return BlockVectors(np.zeros((*shape, 2), np.float32), np.full(shape, NONE, np.int32), past)


class VectorReader(ABC):
    """Reads the vectors of one stream beside the decoder that gives its pictures.

    Made for one pass: ``prepare`` before the first packet, ``packet`` with each packet once the
    decoder has taken it, ``picture`` with each picture that comes out of it, ``finish`` after the
    last, ``close`` in any case. Raises MotionUnavailable where vectors cannot be had or not be
    trusted, DataError where a stream cannot be followed.
    """

    #: the decoder of FFmpeg that must be used, None for its default
    decoder: ClassVar[str | None] = None
    #: whether it looks into a decoder's private memory, and so must prove itself (see ``proof``)
    #: before it is believed
    private: ClassVar[bool] = False
    #: whether vectors are right too where several pictures are decoded at a time and none is
    #: reordered
    frame_threads: ClassVar[bool] = False
    #: whether reading a stream takes so much longer than loading what was read before that it is
    #: kept where times do not count (see ``codec.shared_motion``)
    dear: ClassVar[bool] = False

    def __init__(self, height: int, width: int, cell: int) -> None:
        """``height`` and ``width`` are those of the image, without the encoder's padding."""
        self.height, self.width, self.cell = height, width, cell

    @classmethod
    def check(cls) -> str:
        """Return the source of the vectors in words, with its version.

        Raises MotionUnavailable where it is not installed.
        """
        return f"FFmpeg's libavcodec in PyAV {av.__version__}"

    @classmethod
    def library(cls) -> str:
        """Return the library beside FFmpeg's that reads the vectors, with its version and build.

        It is empty where there is none or it is not installed.
        """
        return ""

    @abstractmethod
    def prepare(self, context: av.VideoCodecContext) -> None:
        """Set the decoder's options and threads; they work only before the first packet."""

    def packet(self, packet: av.Packet) -> None:  # noqa: B027 - most readers need no packets
        """Look at a packet in coded order, just after the decoder found no fault in it."""

    @abstractmethod
    def picture(
        self, index: int, picture: av.VideoFrame, context: av.VideoCodecContext
    ) -> Iterator[tuple[int, BlockVectors]]:
        """Take the picture of that display index, just decoded; yields what is complete now, in
        display order.

        A picture's vectors may be yielded later than the picture (a B-frame's, whose reference is
        not out yet).
        """

    def trailer(self) -> av.Packet | None:
        """Return a packet to decode behind the last, where the decoder else keeps vectors back.

        Its picture is dropped.
        """
        return None

    def finish(self) -> Iterator[tuple[int, BlockVectors]]:
        """Yield the pictures that still wait when the stream has ended."""
        return iter(())

    def close(self) -> None:  # noqa: B027 - most readers hold nothing
        """Let go of what the reader holds."""
