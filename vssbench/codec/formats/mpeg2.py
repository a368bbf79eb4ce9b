"""MPEG-2 (FFmpeg's encoder) at an exact GOP, with the motion vectors of its bitstream."""

from __future__ import annotations

from vssbench.codec.mpeg import MpegCodec
from vssbench.codec.vectors.mpeg import Mpeg2Vectors


class Mpeg2(MpegCodec):
    """MPEG-2 video (ISO/IEC 13818-2), main profile: vectors of 1/2 pixel that never leave the
    picture. See MpegCodec."""

    name = "mpeg2"
    title = "MPEG-2"
    encoder_name = "mpeg2video"
    reader = Mpeg2Vectors
