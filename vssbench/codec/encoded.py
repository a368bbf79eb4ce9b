"""The base of all codecs that encode with FFmpeg.

The stream is encoded once, checked, and decoded with its motion.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypedDict

from vssbench.codec import shared_motion
from vssbench.codec.bitstream import bitstream, library_versions
from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import EncoderSettings
from vssbench.codec.gops import Gop, cut
from vssbench.codec.motion import Cell, Fill, MotionSettings
from vssbench.codec.rate import DEFAULT_BITRATE, UNUSED, rate_control, within
from vssbench.codec.spec import Codec, Motion, check_gop
from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.codec.vectors.proof import prove
from vssbench.codec.vectors.reader import VectorReader
from vssbench.core.errors import DataError, ExperimentRefused, MotionUnavailable, UsageError
from vssbench.core.video import Clip, Frame

#: ``fps`` that stands for the clip's own
CLIPS_OWN = 0.0


class Options(TypedDict, total=False):
    """The parameters of EncodedCodec that no format changes, for its ``**options``."""

    gop: int
    bitrate: str | int | float
    crf: float
    qp: int
    bframes: int
    fps: float
    motion: Motion
    fill: Fill
    whole_pixels: bool


class SearchOptions(Options, total=False):
    """Those of a format that has its own ``cell``."""

    preset: str
    refs: int


class CellOptions(Options, total=False):
    """Those of a format that has its own ``preset`` and ``refs``."""

    cell: Cell


class EncodedCodec(Codec):
    """A codec of FFmpeg at one setting. A format says what its encoder takes, how it is told, and
    who reads its vectors."""

    #: the plug-in's name
    name: ClassVar[str]
    #: the encoder's name for people, where it is not the codec's
    library: ClassVar[str] = ""
    #: reads the vectors of ``motion=codec``
    reader: ClassVar[type[VectorReader]]
    #: least and largest ``crf`` and ``qp``; None: the encoder has no such control
    crf_range: ClassVar[tuple[int, int] | None] = None
    qp_range: ClassVar[tuple[int, int] | None] = None
    #: of ``crf``, or of ``qp`` where there is none: from a fine picture to a coarse one, some 42 to
    #: 27 dB of PSNR in CamVid
    quality_range: ClassVar[tuple[int, int] | None] = None
    #: what can be given as ``preset``
    presets: ClassVar[Collection[str]]
    most_bframes: ClassVar[int] = 0
    most_refs: ClassVar[int] = 1

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
        motion: Motion = "codec",
        cell: Cell = 8,
        fill: Fill = "nearest",
        whole_pixels: bool = False,
    ) -> None:
        """``fps`` is what the encoder is told, on which its bit rate rests; CLIPS_OWN the clip's.
        Raises UsageError."""
        self.rate = rate_control(bitrate, crf, qp, self.crf_range, self.qp_range)
        self.preset = preset
        self.bframes = self.checked_bframes(bframes)
        self.motion = MotionSettings(cell, fill, whole_pixels)
        self.gop = check_gop(gop)
        self.source = motion
        self.has_motion = motion != "none"
        if isinstance(fps, bool) or not (fps == CLIPS_OWN or 1 <= fps <= 1000):
            raise UsageError(
                f"fps={fps!r} cannot be used: expected frames a second from 1 to 1000, 0 for the "
                "clip's own"
            )
        self.fps = float(fps)
        if preset not in self.presets:
            known = ", ".join(self.presets)
            raise UsageError(
                f"unknown preset {preset!r} of {self.library or self.name}; available: {known}"
            )
        self.refs = self.checked_refs(refs)

    @classmethod
    def spelled_out(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters as typed, with those that one of them stands for, such as a paper's
        name, in its place."""
        return dict(params)

    def checked_bframes(self, bframes: int) -> int:
        """Return the number of B-frames between two others, if the encoder has it. Raises
        UsageError."""
        return int(within("bframes", bframes, 0, self.most_bframes))

    def checked_refs(self, refs: int) -> int:
        """Return the number of references, if the encoder has it. Raises UsageError."""
        return int(within("refs", refs, 1, self.most_refs))

    @abstractmethod
    def encoder(self) -> EncoderSettings:
        """Return the encoder's settings; together with the clip they determine the bits."""

    def refusal(self) -> str:
        """Return why a stream of these settings cannot give its own vectors, in words; empty where
        it can."""
        return ""

    def frames(
        self, clip: Clip, cache: Path | None = None, motion: bool = True, residual: bool = False
    ) -> Iterator[Frame]:
        """See Codec."""
        self.check_clip(clip)
        source = self._motion_source(residual) if motion or residual else None
        return self._frames(clip, cache, source)

    def untimed_frames(
        self, clip: Clip, cache: Path | None = None, motion: bool = True, residual: bool = False
    ) -> Iterator[Frame]:
        """See Codec: motion that is dear to read is kept beside the stream."""
        if type(self).frames is not EncodedCodec.frames:  # a plug-in that changes the frames
            return self.frames(clip, cache, motion, residual)
        self.check_clip(clip)
        source = self._motion_source(residual) if motion or residual else None
        return self._frames(clip, cache, source, shared=source is not None and source.reader.dear)

    def gops(self, clip: Clip, folder: Path, motion: bool = True) -> list[Gop]:
        """See Codec. The clip is encoded as a whole, so that its rate is what :meth:`frames` has,
        and then cut."""
        self.check_clip(clip)
        source = self._motion_source(False) if motion else None
        with bitstream(clip, self.encoder(), None, self.fps) as stream:
            paths = cut(stream.path, folder)
        firsts = range(0, clip.length, self.gop)
        if len(paths) != len(firsts):
            raise DataError(
                f"{self.title} made {len(paths)} keyframes of {clip.name!r}, expected "
                f"{len(firsts)}: one every {self.gop} frames"
            )
        size = clip.height, clip.width
        return [
            Gop(
                first,
                partial(decode, path, self.gop, source, min(self.gop, clip.length - first), size),
            )
            for first, path in zip(firsts, paths, strict=True)
        ]

    def check_clip(self, clip: Clip) -> None:
        """Refuse a clip that cannot be coded. Raises ExperimentRefused, DataError."""
        if clip.given is not None:
            raise ExperimentRefused(
                f"the frames of {clip.name!r} come coded ({clip.given.coding}): {self.title} would "
                "code them twice; use raw, or raw[motion=given] for their motion"
            )

    def check_motion(self) -> None:
        """Raise MotionUnavailable, before anything is encoded, where there can be no motion."""
        self._motion_source(residual=False)

    def _motion_source(self, residual: bool) -> MotionSource:
        if self.source == "none":
            raise MotionUnavailable(
                f"motion=none: {self.title} was asked to carry no motion; leave motion=none out"
            )
        if self.source == "estimated":
            EstimatedVectors.check()
            return MotionSource(EstimatedVectors, self.motion, residual)
        if reason := self.refusal():
            raise MotionUnavailable(reason)
        if self.reader.private and (reason := prove(self).reason):
            raise MotionUnavailable(reason)
        return MotionSource(self.reader, self.motion, residual)

    def _frames(
        self,
        clip: Clip,
        cache: Path | None,
        source: MotionSource | None,
        shared: bool = False,
    ) -> Iterator[Frame]:
        size = clip.height, clip.width
        with bitstream(clip, self.encoder(), cache, self.fps) as stream:

            def decoded(source: MotionSource | None) -> Iterator[Frame]:
                return decode(stream.path, self.gop, source, clip.length, size)

            if shared and source is not None and cache is not None:
                frames = shared_motion.frames(cache, stream.path, source, size, decoded)
            else:
                frames = decoded(source)
            for frame in frames:
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

    def motion_library(self) -> str:
        """See Codec."""
        if self.source == "estimated":
            return EstimatedVectors.library()
        return self.reader.library() if self.source == "codec" else ""

    def asked(self) -> str:
        """See Codec."""
        return self.rate.describe()
