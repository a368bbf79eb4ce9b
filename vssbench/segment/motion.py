"""The motion of a video file, a frame at a time, as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vssbench.codec.motion import Cell
from vssbench.codec.vectors.reader import no_vectors
from vssbench.core.errors import DataError, UsageError
from vssbench.core.motion import MotionField
from vssbench.core.video import Frame, Image
from vssbench.data.videofile import VideoFile, open_videofile
from vssbench.segment.frames import coded
from vssbench.segment.vectors import ESTIMATED, OWN, Choice, choose

SOURCES = (OWN, ESTIMATED)
#: what else can be done where a stream's own vectors cannot be trusted
_REMEDY = f"Take source={ESTIMATED!r} (optical flow between the decoded frames)"


@dataclass(frozen=True, eq=False)
class FrameMotion:
    """One frame of a video file and its motion, H x W pixels, as it lies in the stream.

    ``index`` counts frames in display order, ``seconds`` is its time, 0 for the first frame;
    ``distance`` counts frames since the keyframe (0 at a keyframe); ``picture_type`` is I, P or B;
    ``bits`` the size of its packet; ``image`` uint8 (H, W, 3) is RGB.

    ``grid`` float32 (gh, gw, 2) is the motion to the keyframe in pixels, (x, y), one vector for
    each cell of ``cell`` x ``cell`` pixels: a pixel p of this frame lies at ``p + vector`` in the
    keyframe. It is zero at a keyframe. ``vectors`` float32 (L, gh, gw, 2) are the frame's own block
    vectors, which point into the frames that ``references`` int32 (L, gh, gw) names by index; -1
    where a cell has none. L is 2 where a block may be predicted from two frames, else 1.
    """

    index: int
    seconds: float
    picture_type: str
    distance: int
    bits: int
    image: Image
    cell: int
    grid: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]
    references: npt.NDArray[np.int32]
    _motion: MotionField

    @property
    def keyframe(self) -> bool:
        """Whether this is a keyframe."""
        return self.distance == 0

    @property
    def field(self) -> npt.NDArray[np.float32]:
        """The motion to the keyframe at every pixel, float32 (H, W, 2); made anew at each call."""
        return self._motion.dense()


def motion_of(
    path: Path, source: str = OWN, cell: Cell = 8, max_gop: int | None = None
) -> Iterator[FrameMotion]:
    """Yield the frames of a video file with their motion; memory does not grow with its length.

    What can be known before is checked at once. Raises UsageError for an unknown ``source`` or
    ``cell``, DataError for a file that is no video, MotionUnavailable where its vectors cannot be
    trusted.
    """
    if source not in SOURCES:
        raise UsageError(f"source={source!r} is unknown: expected {' or '.join(SOURCES)}")
    if max_gop is not None and max_gop < 1:
        raise UsageError(f"max_gop={max_gop} cannot be used: expected 1 or more")
    file = open_videofile(path)
    choice = choose(file, frozenset({"motion"}), source, _REMEDY)
    assert choice.source is not None  # motion was asked for
    settings = replace(choice.source.settings, cell=cell)
    choice = replace(choice, source=replace(choice.source, settings=settings))
    return _frames(file, choice, max_gop)


def _frames(file: VideoFile, choice: Choice, max_gop: int | None) -> Iterator[FrameMotion]:
    count = 0
    for frame, stamp in coded(file, choice.source, max_gop):
        count += 1
        yield _with_motion(frame, float(stamp * file.time_base))
    if not count:
        raise DataError(f"{file.path} holds no frame that can be decoded; it is empty or broken")


def _with_motion(frame: Frame, seconds: float) -> FrameMotion:
    motion = frame.motion
    assert motion is not None  # decode gives none only where none is asked for
    blocks = motion.blocks or no_vectors(motion.height, motion.width, motion.cell)
    return FrameMotion(
        index=frame.index,
        seconds=seconds,
        picture_type=frame.picture_type,
        distance=frame.distance,
        bits=frame.bits,
        image=frame.image,
        cell=motion.cell,
        grid=motion.grid,
        vectors=blocks.vectors,
        references=blocks.references,
        _motion=motion,
    )
