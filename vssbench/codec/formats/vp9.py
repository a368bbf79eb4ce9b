"""VP9 (libvpx) at an exact GOP, with the motion vectors of its bitstream; experimental."""

from __future__ import annotations

from typing import Literal, Unpack

from vssbench.codec.encode import EncoderSettings
from vssbench.codec.encoded import CellOptions, EncodedCodec
from vssbench.codec.vectors.vp9 import Vp9Vectors
from vssbench.core.errors import UsageError

#: references, libvpx's own number
REFS = 3
#: cpu-used of libvpx by name; up to GOOD it works to the deadline "good", which has no faster ones
PRESETS = {"slower": 0, "slow": 1, "medium": 2, "fast": 4, "faster": 5}
GOOD, FASTEST = 5, 8


class Vp9(EncodedCodec):
    """libvpx in one pass: average bit rate, constant quality where ``crf`` is given, constant
    quantiser where ``qp`` is.

    ``control=vbr`` holds the rate loosely (on short clips of low rate it takes a third more than
    asked), ``cbr`` within a few per cent, at once, through a buffer of half a second. Every GOP is
    closed and exactly ``gop`` frames long, no picture is hidden. A clip that is predicted well may
    take fewer bits than asked. ``preset`` is a name or libvpx's ``cpu-used``, 0 to 8, of which 6 to
    8 are made for real time. Blocks refer to up to three pictures, libvpx's own number. The other
    parameters are those of ``h264``. Raises UsageError.
    """

    name = "vp9"
    title = "VP9"
    reader = Vp9Vectors
    crf_range = qp_range = (0, 63)
    quality_range = (30, 63)
    presets = (*PRESETS, *map(str, range(FASTEST + 1)))
    most_refs = REFS

    def __init__(
        self,
        *,
        preset: str | int = "medium",
        refs: int = REFS,
        control: Literal["vbr", "cbr"] = "vbr",
        **options: Unpack[CellOptions],
    ) -> None:
        self.speed = _speed(preset)
        super().__init__(preset=str(preset), refs=refs, **options)
        if self.rate.crf is not None and self.rate.crf % 1:
            raise UsageError(
                f"crf={self.rate.crf!r} cannot be used: libvpx knows whole numbers only, from 0 to "
                f"{self.crf_range[1]}"
            )
        self.control = control

    def checked_bframes(self, bframes: int) -> int:
        """See EncodedCodec."""
        if bframes != 0 or isinstance(bframes, bool):
            raise UsageError(
                f"bframes={bframes!r} cannot be used: VP9 has no B-frames; leave bframes out"
            )
        return bframes

    def checked_refs(self, refs: int) -> int:
        """See EncodedCodec."""
        if refs != REFS:
            raise UsageError(
                f"refs={refs!r} cannot be used: libvpx chooses among {REFS} references and offers "
                "no other number; leave refs out"
            )
        return refs

    def encoder(self) -> EncoderSettings:
        """See EncodedCodec."""
        options = {
            "keyint_min": str(self.gop),
            # hidden pictures: their vectors cannot be had, and pictures that refer to them lose
            # theirs
            "auto-alt-ref": "0",
            "lag-in-frames": "0",
            "deadline": "good" if self.speed <= GOOD else "realtime",
            "cpu-used": str(self.speed),
            # bits must not depend on the machine
            "threads": "1",
            "tile-columns": "0",
            "row-mt": "0",
        }
        bit_rate = self.rate.bit_rate or 0
        if bit_rate:
            # left alone, libvpx overspends on keyframes and saves too late: here one takes what
            # three frames may on average
            options["max-intra-rate"] = str(100 * min(self.gop, 3))
            if self.control == "cbr":
                options |= _steady(bit_rate)
        if self.rate.crf is not None:
            options["crf"] = f"{self.rate.crf:g}"
        if self.rate.qp is not None:
            options |= dict.fromkeys(("crf", "qmin", "qmax"), str(self.rate.qp))
        return EncoderSettings("libvpx-vp9", self.gop, 0, bit_rate, options)


def _steady(bit_rate: int) -> dict[str, str]:
    """Return a constant rate with a buffer of half a second, which libvpx fills and empties as fast
    as it can."""
    rate = str(bit_rate)
    return {
        "minrate": rate,
        "maxrate": rate,
        "bufsize": str(bit_rate // 2),
        "undershoot-pct": "100",
        "overshoot-pct": "100",
    }


def _speed(preset: str | int) -> int:
    """Return libvpx's ``cpu-used``. Raises UsageError."""
    speeds = PRESETS | {str(speed): speed for speed in range(FASTEST + 1)}
    if str(preset) not in speeds:
        raise UsageError(
            f"unknown preset {preset!r} of libvpx; available: {', '.join(PRESETS)}, or 0 to "
            f"{FASTEST}"
        )
    return speeds[str(preset)]
