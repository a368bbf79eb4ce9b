"""AV1 (SVT-AV1) at an exact GOP, with the motion vectors of its bitstream; experimental."""

from __future__ import annotations

from typing import Unpack

from vssbench.codec.encode import EncoderSettings
from vssbench.codec.encoded import CellOptions, EncodedCodec
from vssbench.codec.vectors.dav1d import Dav1dVectors
from vssbench.core.errors import DataError, UsageError
from vssbench.core.video import Clip

#: SVT-AV1 numbers its presets; as a flat low-delay stream it has these
SLOWEST, FASTEST = 7, 13
PRESETS = {"medium": 7, "fast": 10, "faster": 11, "veryfast": 12}
#: from this preset on it searches one reference, below it three
SINGLE_REFERENCE, MOST_REFS = 10, 3
PRESETS_OWN = 0
#: bits/s, and pixels a side: what the encoder takes
LARGEST_RATE = 100_000_000
SMALLEST_SIDE, LARGEST_WIDTH, LARGEST_HEIGHT = 64, 16384, 8704
#: a small buffer, in milliseconds of the rate, so that clips of a few seconds keep to their rate
#: too
RATE_CONTROL = {
    "rc": 2,
    "buf-initial-sz": 200,
    "buf-optimal-sz": 300,
    "overshoot-pct": 10,
    "undershoot-pct": 50,
}


class Av1(EncodedCodec):
    """SVT-AV1 in one pass: constant bit rate, or a constant quantiser (finer in keyframes) where
    ``crf`` or ``qp`` is given.

    In streams of low delay the encoder makes no difference between the two, but that ``crf`` may be
    a fraction. Every GOP is closed and exactly ``gop`` frames long; the stream is flat and of low
    delay: no B-frames (``bframes`` is 0), no hidden frames. ``preset`` is medium (7), fast (10),
    faster (11), veryfast (12) or a number from 7 to 13. The number of references goes with it,
    three up to 9 and one from 10 on: ``refs`` 0 takes it, another value is checked. ``fps`` is what
    the encoder is told (0: the clip's own). ``motion`` is the codec's own, ``estimated`` from the
    decoded frames, or ``none``; ``cell``, ``fill`` and ``whole_pixels`` say how vectors are
    accumulated. Raises UsageError.
    """

    name = "av1"
    title = "AV1"
    reader = Dav1dVectors
    crf_range = qp_range = (0, 63)
    quality_range = (20, 63)
    presets = (*PRESETS, *map(str, range(SLOWEST, FASTEST + 1)))
    most_refs = MOST_REFS

    def __init__(
        self,
        *,
        preset: str | int = "medium",
        refs: int = PRESETS_OWN,
        **options: Unpack[CellOptions],
    ) -> None:
        self.speed = _speed(preset)
        super().__init__(preset=str(preset), refs=refs, **options)
        if self.rate.bit_rate is not None and self.rate.bit_rate > LARGEST_RATE:
            raise UsageError(
                f"bitrate={options['bitrate']} cannot be used: SVT-AV1 goes up to "
                f"{LARGEST_RATE // 1_000_000}M"
            )

    def checked_bframes(self, bframes: int) -> int:
        """See EncodedCodec."""
        if bframes != 0:
            raise UsageError(
                f"bframes={bframes!r} cannot be used: AV1 is encoded here as a flat stream of low "
                "delay, whose frames refer to earlier ones only; leave bframes out, or use h264 or "
                "hevc"
            )
        return 0

    def checked_refs(self, refs: int) -> int:
        """See EncodedCodec. What the preset has, which ``PRESETS_OWN`` takes."""
        references = 1 if self.speed >= SINGLE_REFERENCE else MOST_REFS
        if refs not in (PRESETS_OWN, references):
            raise UsageError(
                f"refs={refs!r} cannot be used with preset={self.preset}: SVT-AV1 has one "
                f"reference from preset {SINGLE_REFERENCE} (fast) on and three below; leave refs "
                "out, or choose another preset"
            )
        return references

    def check_clip(self, clip: Clip) -> None:
        """See EncodedCodec. Raises DataError where frames are too small or too large for it."""
        super().check_clip(clip)
        if (
            min(clip.height, clip.width) < SMALLEST_SIDE
            or clip.height > LARGEST_HEIGHT
            or clip.width > LARGEST_WIDTH
        ):
            raise DataError(
                f"the clip {clip.name!r} is {clip.width}x{clip.height}: SVT-AV1 encodes from "
                f"{SMALLEST_SIDE}x{SMALLEST_SIDE} to {LARGEST_WIDTH}x{LARGEST_HEIGHT}; resize it, "
                "or use another codec"
            )

    def encoder(self) -> EncoderSettings:
        """See EncodedCodec."""
        parameters: dict[str, int | str] = {
            "irefresh-type": 2,
            "scd": 0,
            "pred-struct": 1,
            "rtc": 1,
            "hierarchical-levels": 0,
            # one thread: constant bit rate rests on the order in which frames are done
            "lp": 1,
            # quantiser matrices, as steep as there are: the vectors come nearer to the true motion,
            # for 0.3 dB at equal rate
            "enable-qm": 1,
            "qm-min": 0,
        }
        # of 1 FFmpeg makes each frame a keyframe, which the encoder's own parameter cannot say
        if self.gop > 1:
            parameters["keyint"] = self.gop
        if self.rate.bit_rate is not None:
            parameters |= RATE_CONTROL
        else:
            quantiser = self.rate.crf if self.rate.crf is not None else self.rate.qp
            parameters |= {"rc": 0, "crf": f"{quantiser:g}"}
        options = {
            "preset": str(self.speed),
            "svtav1-params": ":".join(f"{key}={value}" for key, value in parameters.items()),
        }
        return EncoderSettings("libsvtav1", self.gop, 0, self.rate.bit_rate or 0, options)


def _speed(preset: str | int) -> int:
    """Return SVT-AV1's number of a preset. Raises UsageError."""
    if preset in PRESETS:
        return PRESETS[str(preset)]
    if isinstance(preset, int) and not isinstance(preset, bool) and SLOWEST <= preset <= FASTEST:
        return preset
    names = ", ".join(f"{name} ({number})" for name, number in PRESETS.items())
    raise UsageError(
        f"unknown preset {preset!r} of SVT-AV1; available: {names}, or a number from {SLOWEST} to "
        f"{FASTEST} (slower ones it does not have for streams of low delay)"
    )
