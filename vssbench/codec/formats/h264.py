"""H.264 (x264) at an exact GOP, with the motion vectors of its bitstream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vssbench.codec.bitstream import bitstream, library_versions
from vssbench.codec.decode import decode
from vssbench.codec.encode import EncoderSettings
from vssbench.codec.motion import MotionSettings
from vssbench.codec.spec import Codec, check_gop, format_rate, parse_rate
from vssbench.errors import UsageError
from vssbench.video import Clip, Frame

PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
LARGEST_CRF = 51
MOST_REFS = MOST_BFRAMES = 16
DEFAULT_RATE = "3M"
UNUSED = -1


class H264(Codec):
    """x264 in one pass: average bit rate, or constant quality where ``crf`` (0 to 51) is given.

    Every GOP is closed and exactly ``gop`` frames long; with B-frames their pattern is fixed, so that a distance to the
    keyframe always has the same picture type. ``cell``, ``fill`` and ``whole_pixels`` say how vectors are accumulated;
    ``fill=zero,whole_pixels=true`` follows AR-Seg. Raises UsageError.
    """

    title = "H.264"
    has_motion = True

    def __init__(
        self,
        *,
        gop: int = 12,
        bitrate: str | int | float = DEFAULT_RATE,
        crf: int | float = UNUSED,
        preset: str = "medium",
        bframes: int = 0,
        refs: int = 1,
        cell: int = 8,
        fill: str = "nearest",
        whole_pixels: bool = False,
    ) -> None:
        self.gop = check_gop(gop)
        self.bit_rate = parse_rate(bitrate)
        self.crf = _within("crf", crf, 0, LARGEST_CRF) if crf != UNUSED else None
        if self.crf is not None and bitrate != DEFAULT_RATE:
            raise UsageError(f"bitrate={bitrate} and crf={crf} exclude each other: leave one out")
        if preset not in PRESETS:
            raise UsageError(f"unknown preset {preset!r} of x264; available: {', '.join(PRESETS)}")
        self.preset = preset
        self.bframes = int(_within("bframes", bframes, 0, MOST_BFRAMES))
        self.refs = int(_within("refs", refs, 1, MOST_REFS))
        self.motion = MotionSettings(cell, fill, whole_pixels)

    def encoder(self) -> EncoderSettings:
        """What x264 is told; together with the clip it determines the bits."""
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
            # chroma is midway between pixels, as encode makes it; a decoder's default would shift colours by half a pixel
            "chromaloc": 1,
            # x264's bits depend on its number of threads, whose default follows the machine
            "threads": 1,
            "lookahead-threads": 1,
        }
        if self.bframes:
            # with B-frames x264's macroblock tree gives other bits from run to run, on one thread too
            parameters["mbtree"] = 0
        options = {
            "preset": self.preset,
            "x264-params": ":".join(f"{key}={value}" for key, value in parameters.items()),
        }
        if self.crf is not None:
            options["crf"] = f"{self.crf:g}"
        return EncoderSettings("libx264", self.gop, self.bframes, 0 if self.crf is not None else self.bit_rate, options)

    def frames(self, clip: Clip, cache: Path | None = None, motion: bool = True) -> Iterator[Frame]:
        """See Codec. Raises UsageError where motion is asked for and vectors could point at any of several references."""
        if motion and self.refs > 1:
            raise UsageError(
                f"refs={self.refs} cannot give motion: H.264 vectors, as decoders report them, do not say which reference "
                "they point to; use refs=1, or a method that needs no motion"
            )
        return self._frames(clip, cache, self.motion if motion else None)

    def _frames(self, clip: Clip, cache: Path | None, motion: MotionSettings | None) -> Iterator[Frame]:
        with bitstream(clip, self.encoder(), cache) as path:
            yield from decode(path, self.gop, motion, clip.length, (clip.height, clip.width))

    def settings(self) -> dict[str, Any]:
        return {"codec": "h264", **asdict(self.encoder()), "motion": asdict(self.motion), "libraries": library_versions()}

    def describe(self) -> str:
        rate = format_rate(self.bit_rate) if self.crf is None else f"CRF {self.crf:g}"
        return f"{self.title} {rate}"


def _within(name: str, value: int | float, low: int, high: int) -> int | float:
    whole = name != "crf"
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise UsageError(f"{name}={value!r} cannot be used: expected a {'whole ' * whole}number from {low} to {high}")
    return value
