"""HEVC (x265) at an exact GOP, with the motion vectors of its bitstream; AR-Seg's encodings by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vssbench.codec.encode import EncoderSettings
from vssbench.codec.encoded import CLIPS_OWN, EncodedCodec
from vssbench.codec.motion import MotionSettings
from vssbench.codec.rate import DEFAULT_BITRATE, UNUSED, parse_rate, rate_control, within
from vssbench.codec.vectors.libde265 import LibDe265Vectors
from vssbench.errors import DataError, UsageError
from vssbench.video import Clip, Frame

PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
LARGEST_CRF = LARGEST_QP = 51
MOST_REFS, MOST_BFRAMES = 8, 16
#: frames that x265 looks ahead in its faster presets (in the others 20 and more): more than it may put B-frames in a row
LOOKAHEAD = {"ultrafast": 5, "superfast": 10, "veryfast": 15, "faster": 15, "fast": 15}
#: x265's lookahead writes beyond its memory for narrower frames (cuTree, in version 4.2)
LEAST_WIDTH = 64
#: threads of x265, which encode rows of one frame side by side; their number does not change the bits
THREADS = 4
#: no paper's encoding
OWN = "none"
#: AR-Seg (CVPR 2023), section 4.1 and its released commands: x265 --rect --amp --keyint 12 --bframes 0 and x265's defaults,
#: which are the preset medium with its 3 references
_ARSEG: dict[str, Any] = {"gop": 12, "preset": "medium", "bframes": 0, "refs": 3, "rect": True, "crf": UNUSED, "qp": UNUSED}
PAPERS: dict[str, dict[str, Any]] = {
    "arseg-camvid": {**_ARSEG, "bitrate": "3M", "fps": 30.0},
    "arseg-cityscapes": {**_ARSEG, "bitrate": "5M", "fps": 17.0},
}


class _Word(str):
    """A default that can be told from the same word typed."""


class _Number(int):
    """A default that can be told from the same number typed."""


class Hevc(EncodedCodec):
    """x265 in one pass: average bit rate, constant quality where ``crf`` is given, constant quantiser where ``qp`` is.

    Every GOP is closed and exactly ``gop`` frames long; with B-frames their pattern is fixed, as a pyramid (x265's default),
    so that a distance to the keyframe always has the same picture type. Vectors may point to any of ``refs`` references.
    ``rect`` lets blocks be divided in unequal and oblong parts (x265's --rect --amp). ``fps`` is what the encoder is told (0:
    the clip's own). ``motion`` is the codec's own, ``estimated`` from the decoded frames, or ``none``; ``cell``, ``fill``
    and ``whole_pixels`` say how vectors are accumulated.

    ``paper`` takes the encoding of a paper: ``arseg-camvid`` or ``arseg-cityscapes``. AR-Seg's accumulation is
    ``fill=zero,whole_pixels=true,cell=4`` beside it. Raises UsageError, also where another parameter contradicts the paper.
    """

    name = "hevc"
    title = "HEVC"
    reader = LibDe265Vectors

    def __init__(
        self,
        *,
        gop: int = 12,
        bitrate: str | int | float = _Word(DEFAULT_BITRATE),
        crf: float = UNUSED,
        qp: int = UNUSED,
        preset: str = "medium",
        bframes: int = 0,
        refs: int = _Number(1),
        fps: float = CLIPS_OWN,
        motion: str = "codec",
        cell: int = 4,
        fill: str = "nearest",
        whole_pixels: bool = False,
        rect: bool = True,
        paper: str = OWN,
    ) -> None:
        encoding = _encoding(
            paper,
            {"gop": gop, "bitrate": bitrate, "crf": crf, "qp": qp, "preset": preset, "bframes": bframes, "refs": refs,
             "fps": fps, "rect": rect},
        )  # fmt: skip
        rate = rate_control(encoding["bitrate"], encoding["crf"], encoding["qp"], (0, LARGEST_CRF), (0, LARGEST_QP))
        most_bframes = min(MOST_BFRAMES, LOOKAHEAD.get(preset, 20) - 1)
        bframes = int(within("bframes", encoding["bframes"], 0, most_bframes))
        super().__init__(encoding["gop"], rate, motion, MotionSettings(cell, fill, whole_pixels), bframes, encoding["fps"])
        if preset not in PRESETS:
            raise UsageError(f"unknown preset {preset!r} of x265; available: {', '.join(PRESETS)}")
        if not isinstance(rect, bool):
            raise UsageError(f"rect={rect!r} cannot be used: expected true or false")
        self.preset, self.rect = preset, rect
        self.refs = int(within("refs", encoding["refs"], 1, MOST_REFS))

    def frames(self, clip: Clip, cache: Path | None = None, motion: bool = True, residual: bool = False) -> Iterator[Frame]:
        """See Codec. Raises DataError for frames that x265 cannot take."""
        if clip.width < LEAST_WIDTH:
            raise DataError(
                f"the frames of {clip.name!r} are {clip.width} pixels wide, x265 needs {LEAST_WIDTH}: use larger ones, or h264"
            )
        return super().frames(clip, cache, motion, residual)

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
            "rect": int(self.rect),
            "amp": int(self.rect),
            # chroma is midway between pixels, as encode makes it; a decoder's default would shift colours by half a pixel
            "chromaloc": 1,
            # x265's bits depend on whether rows are encoded side by side and on how many frames are, not on the threads
            "wpp": 1,
            "frame-threads": 1,
            "pools": THREADS,
            # a message in the stream would tell the machine
            "info": 0,
            "log-level": "error",
        }
        options = {
            "preset": self.preset,
            "x265-params": ":".join(f"{key}={value}" for key, value in parameters.items()),
        }
        if self.rate.crf is not None:
            options["crf"] = f"{self.rate.crf:g}"
        if self.rate.qp is not None:
            options["qp"] = str(self.rate.qp)
        return EncoderSettings("libx265", self.gop, self.bframes, self.rate.bit_rate or 0, options, tell_types=self.bframes > 0)


def _encoding(paper: str, typed: dict[str, Any]) -> dict[str, Any]:
    """The paper's encoding, or what was typed. Raises UsageError where both speak and differ."""
    if paper == OWN:
        return typed
    if paper not in PAPERS:
        raise UsageError(f"paper={paper!r} is unknown: expected {', '.join(PAPERS)} or {OWN}")
    chosen = PAPERS[paper]
    for key, value in typed.items():
        untyped = isinstance(value, _Word | _Number) or (key == "fps" and value == CLIPS_OWN)
        same = parse_rate(value) == parse_rate(chosen[key]) if key == "bitrate" else value == chosen[key]
        if not untyped and not same:
            raise UsageError(f"{key}={value} contradicts paper={paper}, which has {key}={chosen[key]}: leave one of them out")
    return chosen
