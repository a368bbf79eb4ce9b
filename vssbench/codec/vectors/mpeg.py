"""Motion vectors of MPEG-2 and of MPEG-4 part 2, whose decoders keep the last picture's vectors
back."""

from __future__ import annotations

from collections.abc import Iterator

import av

from vssbench.codec.vectors.exported import ExportedVectors
from vssbench.codec.vectors.reader import BlockVectors
from vssbench.core.errors import MotionUnavailable

_B = 3


class Mpeg2Vectors(ExportedVectors):
    """Exact to 1/2 pixel, B-frames too. FFmpeg's decoder exports an anchor's vectors when the next
    anchor comes: the last one of a stream would have none, and so a keyframe is decoded once more
    behind it."""

    frame_threads = False

    def __init__(self, height: int, width: int, cell: int) -> None:
        super().__init__(height, width, cell)
        self._keyframe: av.Packet | None = None

    def packet(self, packet: av.Packet) -> None:
        """See VectorReader."""
        if packet.is_keyframe:
            self._keyframe = packet

    def picture(
        self, index: int, picture: av.VideoFrame, context: av.VideoCodecContext
    ) -> Iterator[tuple[int, BlockVectors]]:
        """See VectorReader."""
        if picture.interlaced_frame:
            raise MotionUnavailable(
                f"frame {index} is interlaced: its vectors may be those of single fields, and the "
                "decoder does not say which; use motion=estimated"
            )
        return super().picture(index, picture, context)

    def trailer(self) -> av.Packet | None:
        """See VectorReader."""
        return self._keyframe


class Mpeg4Vectors(Mpeg2Vectors):
    """Exact to 1/2 pixel in P-frames. The decoder reports the vectors of all B-frames as zero:
    these are refused."""

    def picture(
        self, index: int, picture: av.VideoFrame, context: av.VideoCodecContext
    ) -> Iterator[tuple[int, BlockVectors]]:
        """See VectorReader."""
        if int(picture.pict_type) == _B:
            raise MotionUnavailable(
                f"frame {index} is a B-frame: FFmpeg reports the vectors of MPEG-4 part 2 B-frames "
                "as zero; encode with bframes=0, or use motion=estimated"
            )
        return super().picture(index, picture, context)
