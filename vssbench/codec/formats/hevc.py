"""HEVC (x265) at an exact GOP, with the motion vectors of its bitstream; AR-Seg's encodings by
name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Unpack

from vssbench.codec.encode import EncoderSettings
from vssbench.codec.encoded import CLIPS_OWN, SearchOptions
from vssbench.codec.motion import Cell
from vssbench.codec.rate import UNUSED, within
from vssbench.codec.vectors.libde265 import LibDe265Vectors
from vssbench.codec.x26x import X26xCodec
from vssbench.core.errors import DataError, UsageError
from vssbench.core.video import Clip

#: frames that x265 looks ahead in its faster presets (in the others 20 and more): more than it may
#: put B-frames in a row
LOOKAHEAD = {"ultrafast": 5, "superfast": 10, "veryfast": 15, "faster": 15, "fast": 15}
#: x265's lookahead writes beyond its memory for narrower frames (cuTree, in version 4.2)
LEAST_WIDTH = 64
#: threads of x265, which encode rows of one frame side by side; their number does not change the
#: bits
THREADS = 4
#: papers whose encodings are known by name; none for one's own
Paper = Literal["arseg-camvid", "arseg-cityscapes", "none"]
#: AR-Seg (CVPR 2023), section 4.1 and its released commands: x265 --rect --amp --keyint 12
#: --bframes 0 and x265's defaults, which are the preset medium with its 3 references
_ARSEG: dict[str, Any] = {
    "gop": 12,
    "preset": "medium",
    "bframes": 0,
    "refs": 3,
    "rect": True,
    "crf": UNUSED,
    "qp": UNUSED,
}
PAPERS: dict[str, dict[str, Any]] = {
    "arseg-camvid": {**_ARSEG, "bitrate": "3M", "fps": 30.0},
    "arseg-cityscapes": {**_ARSEG, "bitrate": "5M", "fps": 17.0},
}


class Hevc(X26xCodec):
    """x265 in one pass: average bit rate, constant quality where ``crf`` is given, constant
    quantiser where ``qp`` is.

    Every GOP is closed and exactly ``gop`` frames long; with B-frames their pattern is fixed, as a
    pyramid (x265's default), so that a distance to the keyframe always has the same picture type.
    Vectors may point to any of ``refs`` references. ``rect`` lets blocks be divided in unequal and
    oblong parts (x265's --rect --amp). ``fps`` is what the encoder is told (0: the clip's own).
    ``motion`` is the codec's own, ``estimated`` from the decoded frames, or ``none``; ``cell``,
    ``fill`` and ``whole_pixels`` say how vectors are accumulated.

    ``paper`` takes the encoding of a paper: ``arseg-camvid`` or ``arseg-cityscapes``, at another
    ``bitrate`` where one is given (Table 4 has 1M). AR-Seg's accumulation is
    ``fill=zero,whole_pixels=true,cell=4`` beside it. Raises UsageError, also where another
    parameter contradicts the paper.
    """

    name = "hevc"
    title = "HEVC"
    library = "x265"
    reader = LibDe265Vectors
    most_refs = 8

    def __init__(
        self,
        *,
        cell: Cell = 4,
        rect: bool = True,
        paper: Paper = "none",
        **options: Unpack[SearchOptions],
    ) -> None:
        if not isinstance(rect, bool):
            raise UsageError(f"rect={rect!r} cannot be used: expected true or false")
        encoding = _encoding(paper, {**options, "rect": rect})
        self.rect = encoding.pop("rect")
        super().__init__(cell=cell, **encoding)

    @classmethod
    def spelled_out(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        """See EncodedCodec: the encoding of ``paper``."""
        typed = {key: value for key, value in params.items() if key != "paper"}
        encoding = _encoding(params.get("paper", "none"), typed)
        return {key: value for key, value in encoding.items() if value != UNUSED}

    def checked_bframes(self, bframes: int) -> int:
        """See EncodedCodec. Fewer where the preset looks less far ahead."""
        return int(
            within(
                "bframes", bframes, 0, min(self.most_bframes, LOOKAHEAD.get(self.preset, 20) - 1)
            )
        )

    def check_clip(self, clip: Clip) -> None:
        """See EncodedCodec. Raises DataError for frames that x265 cannot take."""
        super().check_clip(clip)
        if clip.width < LEAST_WIDTH:
            raise DataError(
                f"the frames of {clip.name!r} are {clip.width} pixels wide, x265 needs "
                f"{LEAST_WIDTH}: use larger ones, or h264"
            )

    def encoder(self) -> EncoderSettings:
        """See EncodedCodec."""
        options = self.options(
            {
                "rect": int(self.rect),
                "amp": int(self.rect),
                # chroma is midway between pixels, as encode makes it; a decoder's default would
                # shift colours by half a pixel
                "chromaloc": 1,
                # x265's bits depend on whether rows are encoded side by side and on how many frames
                # are, not on the threads
                "wpp": 1,
                "frame-threads": 1,
                "pools": THREADS,
                # a message in the stream would tell the machine
                "info": 0,
                "log-level": "error",
            }
        )
        return EncoderSettings(
            "libx265",
            self.gop,
            self.bframes,
            self.rate.bit_rate or 0,
            options,
            tell_types=self.bframes > 0,
        )


def _encoding(paper: str, typed: dict[str, Any]) -> dict[str, Any]:
    """Return the typed settings with the paper's encoding.

    Raises UsageError where both speak and differ.

    Raises UsageError where both speak of anything else and differ.
    """
    if paper == "none":
        return typed
    chosen = PAPERS[paper]
    for key, value in typed.items():
        if key not in chosen or (key == "fps" and value == CLIPS_OWN):
            continue
        if key != "bitrate" and value != chosen[key]:
            raise UsageError(
                f"{key}={value} contradicts paper={paper}, which has {key}={chosen[key]}: leave "
                "one of them out"
            )
    rate = {"bitrate": typed["bitrate"]} if "bitrate" in typed else {}
    return typed | chosen | rate
