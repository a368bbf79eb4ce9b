"""What all codecs share that encode with FFmpeg: the stream is encoded once, checked, and decoded with its motion."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from vssbench.codec.bitstream import bitstream, library_versions
from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import EncoderSettings
from vssbench.codec.motion import MotionSettings
from vssbench.codec.rate import Rate
from vssbench.codec.spec import Codec, check_gop, check_motion
from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.codec.vectors.reader import VectorReader
from vssbench.errors import CellRefused, MotionUnavailable, UsageError
from vssbench.video import Clip, Frame

#: ``fps`` that stands for the clip's own
CLIPS_OWN = 0.0


class EncodedCodec(Codec):
    """A codec of FFmpeg at one setting. A format says how its encoder is told, and who reads its vectors."""

    #: the plug-in's name
    name: ClassVar[str]
    #: reads the vectors of ``motion=codec``
    reader: ClassVar[type[VectorReader]]

    def __init__(
        self, gop: int, rate: Rate, motion: str, settings: MotionSettings, bframes: int = 0, fps: float = CLIPS_OWN
    ) -> None:
        """``fps`` is what the encoder is told, on which its bit rate rests; CLIPS_OWN the clip's. Raises UsageError."""
        self.gop = check_gop(gop)
        self.rate = rate
        self.source = check_motion(motion)
        self.motion = settings
        self.bframes = bframes
        if isinstance(fps, bool) or not (fps == CLIPS_OWN or 1 <= fps <= 1000):
            raise UsageError(f"fps={fps!r} cannot be used: expected frames a second from 1 to 1000, 0 for the clip's own")
        self.fps = float(fps)
        self.has_motion = motion != "none"

    @abstractmethod
    def encoder(self) -> EncoderSettings:
        """What the encoder is told; together with the clip it determines the bits."""

    def refusal(self) -> str:
        """Why a stream of these settings cannot give its own vectors, in words; empty where it can."""
        return ""

    def frames(self, clip: Clip, cache: Path | None = None, motion: bool = True, residual: bool = False) -> Iterator[Frame]:
        """See Codec."""
        if clip.given is not None:
            raise CellRefused(
                f"the frames of {clip.name!r} come coded ({clip.given.coding}): {self.title} would code them twice; use raw, "
                "or raw[motion=given] for their motion"
            )
        source = self._motion_source(residual) if motion or residual else None
        return self._frames(clip, cache, source)

    def _motion_source(self, residual: bool) -> MotionSource:
        if self.source == "none":
            raise MotionUnavailable(f"motion=none: {self.title} was asked to carry no motion; leave motion=none out")
        if self.source == "estimated":
            EstimatedVectors.check()
            return MotionSource(EstimatedVectors, self.motion, residual)
        if reason := self.refusal():
            raise MotionUnavailable(reason)
        if self.reader.private:
            from vssbench.codec.vectors.proof import prove  # encodes and decodes, and so builds on this module's parts

            if reason := prove(self).reason:
                raise MotionUnavailable(reason)
        return MotionSource(self.reader, self.motion, residual)

    def _frames(self, clip: Clip, cache: Path | None, source: MotionSource | None) -> Iterator[Frame]:
        with bitstream(clip, self.encoder(), cache, self.fps) as stream:
            for frame in decode(stream.path, self.gop, source, clip.length, (clip.height, clip.width)):
                coded = stream.frames[frame.index]
                frame.psnr_db, frame.ssim = coded.psnr_db, coded.ssim
                yield frame

    def settings(self) -> dict[str, Any]:
        """See Codec."""
        return {
            "codec": self.name,
            **asdict(self.encoder()),
            "fps": self.fps,
            "motion": {"source": self.source, **asdict(self.motion)},
            "libraries": library_versions(),
        }

    def asked(self) -> str:
        """See Codec."""
        return self.rate.describe()
