"""What MPEG-2 and MPEG-4 part 2 share: FFmpeg's own encoders at an exact GOP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from vssbench.codec.encode import EncoderSettings
from vssbench.codec.encoded import CLIPS_OWN, EncodedCodec
from vssbench.codec.motion import MotionSettings
from vssbench.codec.rate import DEFAULT_BITRATE, UNUSED, rate_control, within
from vssbench.errors import UsageError

#: the quantiser scale of both standards
LEAST_QP, LARGEST_QP = 1, 31
MOST_BFRAMES = 16
#: FFmpeg counts a quantiser in Lagrange multipliers, this many to a step (FF_QP2LAMBDA)
_LAMBDAS_A_STEP = 118
#: FFmpeg's search shapes share one option with their radius in pixels: 512 + radius hexagons, 768 + radius uneven hexagons
_HEXAGONS, _UNEVEN_HEXAGONS = 512 + 16, 768 + 32
#: blocks compared by Hadamard transform, and a wide search about each predictor: diamonds, FFmpeg's default, lose fast motion
#: over the distance that B-frames put between anchors
_FAST = {"cmp": "satd", "subcmp": "satd", "last_pred": "2", "dia_size": str(_HEXAGONS)}
#: hexagons that are chosen by rate and distortion follow a neighbour's wrong vector now and then; the uneven ones do not
_MEDIUM = {**_FAST, "dia_size": str(_UNEVEN_HEXAGONS), "mbd": "rd", "trellis": "1"}
_SLOW = {**_MEDIUM, "subcmp": "rd"}


class MpegCodec(EncodedCodec):
    """One pass of FFmpeg's encoder: average bit rate, or the constant quantiser ``qp``; there is no constant quality.

    ``preset`` is ``fast`` (a hexagonal search), ``medium`` (a wider one, modes by rate and distortion, trellis quantisation)
    or ``slow`` (half-pixel vectors by rate and distortion too). Every GOP is closed and exactly ``gop`` frames long; before a
    keyframe a run of B-frames is cut short. A rate below what the largest quantiser gives cannot be met: results tell the
    measured bits. Other parameters are those of h264. Raises UsageError.
    """

    #: FFmpeg's name of the encoder
    encoder_name: ClassVar[str]
    presets: ClassVar[Mapping[str, Mapping[str, str]]] = {"fast": _FAST, "medium": _MEDIUM, "slow": _SLOW}

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
        rate = rate_control(bitrate, crf, qp, None, (LEAST_QP, LARGEST_QP))
        bframes = int(within("bframes", bframes, 0, MOST_BFRAMES))
        super().__init__(gop, rate, motion, MotionSettings(cell, fill, whole_pixels), bframes, fps)
        if preset not in self.presets:
            raise UsageError(f"unknown preset {preset!r} of {self.name}; available: {', '.join(self.presets)}")
        self.preset = preset
        if refs != 1:
            raise UsageError(f"refs={refs!r} cannot be used: {self.title} pictures refer to one picture a direction, refs=1")

    def encoder(self) -> EncoderSettings:
        """See EncodedCodec."""
        preset = dict(self.presets[self.preset])
        # without closed GOPs a run of B-frames steps over the place of a keyframe
        flags = preset.pop("flags", "") + "+cgop"
        options = {
            "sc_threshold": "1000000000",
            "mpv_flags": "+strict_gop",
            # slices of other lengths, and so other bits, with more threads
            "threads": "1",
            # any number of frames a second: what MPEG-2's header cannot hold is rounded there, not in the rate control
            "strict": "experimental",
            **preset,
        }
        quantisers = None
        if self.rate.qp is not None:
            flags += "+qscale"
            options["global_quality"] = str(self.rate.qp * _LAMBDAS_A_STEP)
            quantisers = (self.rate.qp, self.rate.qp)
        options["flags"] = flags
        return EncoderSettings(self.encoder_name, self.gop, self.bframes, self.rate.bit_rate or 0, options, quantisers)
