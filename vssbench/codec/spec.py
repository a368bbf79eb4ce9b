"""The Codec interface, by which the harness uses a codec."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from vssbench.codec.gops import Gop
from vssbench.core.errors import UsageError
from vssbench.core.parameters import WithChoices
from vssbench.core.video import Clip, Frame

#: where motion comes from
Motion = Literal["codec", "estimated", "none"]


class Codec(WithChoices, ABC):
    """One codec at one setting. A plug-in's keyword-only arguments are its parameters in the
    bracket grammar, and where it takes ``**options`` those of its base class too."""

    #: shown in tables, as "H.264"
    title: ClassVar[str]
    #: whether decoded frames carry motion to their keyframe
    has_motion: bool

    #: frames from one keyframe to the next
    gop: int

    @abstractmethod
    def frames(
        self, clip: Clip, cache: Path | None = None, motion: bool = True, residual: bool = False
    ) -> Iterator[Frame]:
        """Encode the clip and decode it as a stream of frames in display order, with distance,
        bits, quality and motion.

        The bitstream is kept in the folder ``cache`` and read from there the next time; without one
        it is encoded to a temporary file. ``motion=False`` leaves the vectors unread; ``residual``
        asks for residuals too. Raises DataError where frames do not fit the clip or the stream is
        broken, MotionUnavailable where vectors cannot be had.
        """

    def untimed_frames(
        self, clip: Clip, cache: Path | None = None, motion: bool = True, residual: bool = False
    ) -> Iterator[Frame]:
        """Give what :meth:`frames` gives, where times of decoding and motion do not count: motion
        may be what was read before and kept in ``cache``."""
        return self.frames(clip, cache, motion, residual)

    def gops(self, clip: Clip, folder: Path, motion: bool = True) -> list[Gop]:
        """Return the coded clip in pieces that can be decoded by themselves, with the frames that
        :meth:`frames` gives.

        What they need is kept in ``folder``, which must be this clip's alone. A codec that does not
        know its pieces gives the whole clip as one, coded anew each time.
        """
        return [Gop(0, partial(self.frames, clip, folder, motion))]

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return all that determines what the decoded frames look like, as JSON values; part of a
        run's identity."""

    def motion_library(self) -> str:
        """Return what reads motion beside FFmpeg, with its version and build; empty where nothing
        does.

        It is part of the identity of a run whose method needs motion or residuals.
        """
        return ""

    def asked(self) -> str:
        """Return the rate that the encoder is asked for, as ``1 Mb/s`` or ``CRF 23``; empty where
        there is none."""
        return ""

    def describe(self) -> str:
        """Return the codec and the rate that it is asked for, as ``H.264 1 Mb/s``."""
        return f"{self.title} {self.asked()}".strip()


#: frames of a GOP: an hour at 25 frames a second, beyond which nothing is read at random
LONGEST_GOP = 90_000


def check_gop(gop: int) -> int:
    """Return a GOP length that can be used. Raises UsageError."""
    if isinstance(gop, bool) or not isinstance(gop, int) or not 1 <= gop <= LONGEST_GOP:
        raise UsageError(
            f"gop={gop!r} cannot be used: expected a whole number of frames from 1 to "
            f"{LONGEST_GOP}, as gop=12"
        )
    return gop
