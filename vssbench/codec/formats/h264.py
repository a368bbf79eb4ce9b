"""H.264 (x264) at an exact GOP, with the motion vectors of its bitstream."""

from __future__ import annotations

from vssbench.codec.encode import LOSSLESS_PIXEL_FORMAT, PIXEL_FORMAT, EncoderSettings
from vssbench.codec.encoded import CLIPS_OWN, EncodedCodec
from vssbench.codec.motion import MotionSettings
from vssbench.codec.rate import DEFAULT_BITRATE, UNUSED, rate_control, within
from vssbench.codec.vectors.h264 import H264Vectors
from vssbench.errors import UsageError

PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
LARGEST_CRF = LARGEST_QP = 51
MOST_REFS = MOST_BFRAMES = 16


class H264(EncodedCodec):
    """x264 in one pass: average bit rate, constant quality where ``crf`` is given, constant quantiser where ``qp`` is;
    0 loses nothing, and then colours keep their resolution (4:4:4).

    Every GOP is closed and exactly ``gop`` frames long; with B-frames their pattern is fixed, so that a distance to the
    keyframe always has the same picture type. ``fps`` is what the encoder is told (0: the clip's own). ``motion`` is the
    codec's own, ``estimated`` from the decoded frames, or ``none``; ``cell``, ``fill`` and ``whole_pixels`` say how vectors
    are accumulated; ``fill=zero,whole_pixels=true`` follows AR-Seg. Raises UsageError.
    """

    name = "h264"
    title = "H.264"
    reader = H264Vectors

    def __init__(
        self,
        *,
        gop: int = 12,
        bitrate: str | int | float = DEFAULT_BITRATE,
        crf: float = UNUSED,
        qp: int = UNUSED,
        preset: str = "medium",
        bframes: int = 0,
        refs: int = 1,
        fps: float = CLIPS_OWN,
        motion: str = "codec",
        cell: int = 8,
        fill: str = "nearest",
        whole_pixels: bool = False,
    ) -> None:
        rate = rate_control(bitrate, crf, qp, (0, LARGEST_CRF), (0, LARGEST_QP))
        bframes = int(within("bframes", bframes, 0, MOST_BFRAMES))
        super().__init__(gop, rate, motion, MotionSettings(cell, fill, whole_pixels), bframes, fps)
        if preset not in PRESETS:
            raise UsageError(f"unknown preset {preset!r} of x264; available: {', '.join(PRESETS)}")
        self.preset = preset
        self.refs = int(within("refs", refs, 1, MOST_REFS))

    def refusal(self) -> str:
        """See EncodedCodec."""
        if self.refs == 1:
            return ""
        return (
            f"refs={self.refs} cannot give motion: H.264 vectors, as decoders report them, do not say which reference "
            "they point to; use refs=1, motion=estimated, or a method that needs no motion"
        )

    def encoder(self) -> EncoderSettings:
        """See EncodedCodec."""
        parameters: dict[str, int | str] = {
            "keyint": self.gop,
            "min-keyint": self.gop,
            "scenecut": 0,
            "open-gop": 0,
            "ref": self.refs,
            "bframes": self.bframes,
            "b-adapt": 0,
            "b-pyramid": "none",
            "weightp": 0,
            # x264's bits depend on its number of threads, whose default follows the machine
            "threads": 1,
            "lookahead-threads": 1,
        }
        lossless = 0 in (self.rate.crf, self.rate.qp)
        if not lossless:
            # chroma is midway between pixels, as encode makes it; a decoder's default would shift colours by half a pixel
            parameters["chromaloc"] = 1
        options = {
            "preset": self.preset,
            "x264-params": ":".join(f"{key}={value}" for key, value in parameters.items()),
        }
        if self.rate.crf is not None:
            options["crf"] = f"{self.rate.crf:g}"
        if self.rate.qp is not None:
            options["qp"] = str(self.rate.qp)
        return EncoderSettings(
            "libx264", self.gop, self.bframes, self.rate.bit_rate or 0, options,
            pixel_format=LOSSLESS_PIXEL_FORMAT if lossless else PIXEL_FORMAT,
        )  # fmt: skip
