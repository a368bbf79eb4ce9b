"""MPEG-4 part 2 (FFmpeg's encoder) at an exact GOP, with the motion vectors of its bitstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from vssbench.codec.mpeg import MpegCodec
from vssbench.codec.vectors.mpeg import Mpeg4Vectors


class Mpeg4(MpegCodec):
    """MPEG-4 visual (ISO/IEC 14496-2), simple profile: vectors of 1/2 pixel, four a macroblock
    where that pays (not in ``fast``). See MpegCodec."""

    name = "mpeg4"
    title = "MPEG-4 part 2"
    encoder_name = "mpeg4"
    reader = Mpeg4Vectors
    presets: ClassVar[Mapping[str, Mapping[str, str]]] = {
        name: options if name == "fast" else {**options, "flags": "+mv4"}
        for name, options in MpegCodec.presets.items()
    }

    def refusal(self) -> str:
        """See EncodedCodec."""
        if not self.bframes:
            return ""
        return (
            f"bframes={self.bframes} cannot give motion: FFmpeg reports the vectors of MPEG-4 part "
            "2 B-frames as zero; use bframes=0, motion=estimated, or a method that needs no motion"
        )
