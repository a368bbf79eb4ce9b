"""The common base of MPEG-2 and MPEG-4 part 2: FFmpeg's own encoders at an exact GOP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from vssbench.codec.encode import EncoderSettings
from vssbench.codec.encoded import EncodedCodec
from vssbench.core.errors import UsageError

#: FFmpeg counts a quantiser in Lagrange multipliers, this many to a step (FF_QP2LAMBDA)
_LAMBDAS_A_STEP = 118
#: FFmpeg's search shapes share one option with their radius in pixels: 512 + radius hexagons, 768 +
#: radius uneven hexagons
_HEXAGONS, _UNEVEN_HEXAGONS = 512 + 16, 768 + 32
#: blocks compared by Hadamard transform, and a wide search about each predictor: diamonds, FFmpeg's
#: default, lose fast motion over the distance that B-frames put between anchors
_FAST = {"cmp": "satd", "subcmp": "satd", "last_pred": "2", "dia_size": str(_HEXAGONS)}
#: hexagons that are chosen by rate and distortion follow a neighbour's wrong vector now and then;
#: the uneven ones do not
_MEDIUM = {**_FAST, "dia_size": str(_UNEVEN_HEXAGONS), "mbd": "rd", "trellis": "1"}
_SLOW = {**_MEDIUM, "subcmp": "rd"}


class MpegCodec(EncodedCodec):
    """One pass of FFmpeg's encoder: average bit rate, or the constant quantiser ``qp``; there is no
    constant quality.

    ``preset`` is ``fast`` (a hexagonal search), ``medium`` (a wider one, modes by rate and
    distortion, trellis quantisation) or ``slow`` (half-pixel vectors by rate and distortion too).
    Every GOP is closed and exactly ``gop`` frames long; before a keyframe a run of B-frames is cut
    short. A rate below what the largest quantiser gives cannot be met: results tell the measured
    bits. Other parameters are those of h264. Raises UsageError.
    """

    #: FFmpeg's name of the encoder
    encoder_name: ClassVar[str]
    #: the quantiser scale of both standards
    qp_range = (1, 31)
    quality_range = (3, 31)
    presets: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "fast": _FAST,
        "medium": _MEDIUM,
        "slow": _SLOW,
    }
    most_bframes = 16

    def checked_refs(self, refs: int) -> int:
        """See EncodedCodec."""
        if refs != 1:
            raise UsageError(
                f"refs={refs!r} cannot be used: {self.title} pictures refer to one picture a "
                "direction, refs=1"
            )
        return refs

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
            # any number of frames a second: what MPEG-2's header cannot hold is rounded there, not
            # in the rate control
            "strict": "experimental",
            **preset,
        }
        quantisers = None
        if self.rate.qp is not None:
            flags += "+qscale"
            options["global_quality"] = str(self.rate.qp * _LAMBDAS_A_STEP)
            quantisers = (self.rate.qp, self.rate.qp)
        options["flags"] = flags
        return EncoderSettings(
            self.encoder_name, self.gop, self.bframes, self.rate.bit_rate or 0, options, quantisers
        )
