"""No codec: the frames as they are, in GOPs by number; no motion but what is estimated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

from vssbench.codec.accumulate import Accumulator
from vssbench.codec.gops import Gop
from vssbench.codec.motion import Cell, Fill, MotionSettings
from vssbench.codec.prediction import predict
from vssbench.codec.prediction import residual as residual_of
from vssbench.codec.spec import Codec, check_gop
from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.core.errors import DataError, ExperimentRefused, MotionUnavailable
from vssbench.core.video import Clip, Frame, Image
from vssbench.data.colour import grey
from vssbench.data.given import given_frames

#: three channels of 8 bits: the size of an uncompressed pixel, counted as the frame's bits
BITS_PER_PIXEL = 24
LOSSLESS = (float("inf"), 1.0)


class Raw(Codec):
    """Uncompressed video: every ``gop``-th frame counts as a keyframe. ``bits`` is the size of the
    image, 24 a pixel, and nothing is decoded, so that decoding takes no time. ``motion=estimated``
    gives motion from the frames themselves, ``motion=given`` that of a dataset whose frames come
    coded; ``cell``, ``fill`` and ``whole_pixels`` say how it is accumulated. Raises UsageError."""

    title = "uncompressed"

    def __init__(
        self,
        *,
        gop: int = 12,
        motion: Literal["none", "estimated", "given"] = "none",
        cell: Cell = 8,
        fill: Fill = "nearest",
        whole_pixels: bool = False,
    ) -> None:
        self.gop = check_gop(gop)
        self.source = motion
        self.has_motion = motion != "none"
        self.motion = MotionSettings(cell, fill, whole_pixels)

    def frames(
        self, clip: Clip, cache: Path | None = None, motion: bool = True, residual: bool = False
    ) -> Iterator[Frame]:
        """See Codec. Nothing is encoded, so ``cache`` stays unused; without ``motion=estimated`` no
        frame has motion."""
        if clip.given is not None or self.source == "given":
            if residual or self.source == "estimated":
                raise ExperimentRefused(
                    f"the frames of {clip.name!r} come coded, a few of each video: no residual, no "
                    "estimate"
                )
            yield from given_frames(clip, self.gop, motion and self.source == "given")
            return
        if residual and not self.has_motion:
            raise MotionUnavailable(
                "residuals need motion, and raw carries none; use raw[motion=estimated] or a codec"
            )
        estimator = (
            EstimatedVectors(clip.height, clip.width, self.motion.cell)
            if motion and self.has_motion
            else None
        )
        accumulator = Accumulator(clip.height, clip.width, self.motion)
        bits = BITS_PER_PIXEL * clip.height * clip.width
        before: Image | None = None
        for index in range(clip.length):
            image = clip.image(index)
            if image.shape != (clip.height, clip.width, 3):
                raise DataError(
                    f"frame {index} of the clip {clip.name!r} is {image.shape}, expected "
                    f"{(clip.height, clip.width, 3)}: all frames of a clip must have one size"
                )
            distance = index % self.gop
            frame = Frame(
                index,
                image,
                "P" if distance else "I",
                distance,
                bits,
                psnr_db=LOSSLESS[0],
                ssim=LOSSLESS[1],
            )
            if estimator is not None:
                started = time.perf_counter()
                blocks = estimator.follow(index, grey(image))
                ((_, frame.motion),) = accumulator.add(index, blocks, distance == 0)
                if residual and before is not None and frame.motion.step is not None:
                    frame.residual = residual_of(
                        image, predict(frame.motion.step, {index - 1: before}, self.motion.cell)
                    )
                frame.motion_seconds = time.perf_counter() - started
            before = image
            yield frame

    def gops(self, clip: Clip, folder: Path, motion: bool = True) -> list[Gop]:
        """See Codec. Nothing is encoded: a piece is read from the clip, which is one piece where
        its frames come coded."""
        if clip.given is not None or self.source == "given":
            return super().gops(clip, folder, motion)
        firsts = range(0, clip.length, self.gop)
        parts = (clip.part(first, min(self.gop, clip.length - first)) for first in firsts)
        return [
            Gop(first, partial(self.frames, part, None, motion))
            for first, part in zip(firsts, parts, strict=True)
        ]

    def settings(self) -> dict[str, Any]:
        """See Codec."""
        settings: dict[str, Any] = {"codec": "raw", "gop": self.gop}
        if self.has_motion:
            settings["motion"] = {"source": self.source, **asdict(self.motion)}
        return settings

    def motion_library(self) -> str:
        """See Codec."""
        return EstimatedVectors.library() if self.source == "estimated" else ""
