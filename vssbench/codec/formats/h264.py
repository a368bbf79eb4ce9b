"""H.264 (x264) at an exact GOP, with the motion vectors of its bitstream."""

from __future__ import annotations

from vssbench.codec.encode import LOSSLESS_PIXEL_FORMAT, EncoderSettings
from vssbench.codec.vectors.h264 import H264Vectors
from vssbench.codec.x26x import X26xCodec
from vssbench.data.colour import PIXEL_FORMAT


class H264(X26xCodec):
    """x264 in one pass: average bit rate, constant quality where ``crf`` is given, constant
    quantiser where ``qp`` is; 0 loses nothing, and then colours keep their resolution (4:4:4).

    Every GOP is closed and exactly ``gop`` frames long; with B-frames their pattern is fixed, so
    that a distance to the keyframe always has the same picture type. ``fps`` is what the encoder is
    told (0: the clip's own). ``motion`` is the codec's own, ``estimated`` from the decoded frames,
    or ``none``; ``cell``, ``fill`` and ``whole_pixels`` say how vectors are accumulated;
    ``fill=zero,whole_pixels=true`` follows AR-Seg. Raises UsageError.
    """

    name = "h264"
    title = "H.264"
    library = "x264"
    reader = H264Vectors
    most_refs = 16

    def refusal(self) -> str:
        """See EncodedCodec."""
        if self.refs == 1:
            return ""
        return (
            f"refs={self.refs} cannot give motion: H.264 vectors, as decoders report them, do not "
            "say which reference they point to; use refs=1, motion=estimated, or a method that "
            "needs no motion"
        )

    def encoder(self) -> EncoderSettings:
        """See EncodedCodec."""
        parameters: dict[str, int | str] = {
            "b-pyramid": "none",
            "weightp": 0,
            # x264's bits depend on its number of threads, whose default follows the machine
            "threads": 1,
            "lookahead-threads": 1,
        }
        lossless = 0 in (self.rate.crf, self.rate.qp)
        if not lossless:
            # chroma is midway between pixels, as encode makes it; a decoder's default would shift
            # colours by half a pixel
            parameters["chromaloc"] = 1
        return EncoderSettings(
            "libx264", self.gop, self.bframes, self.rate.bit_rate or 0, self.options(parameters),
            pixel_format=LOSSLESS_PIXEL_FORMAT if lossless else PIXEL_FORMAT,
        )  # fmt: skip
