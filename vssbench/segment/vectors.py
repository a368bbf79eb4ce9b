"""Where a file's motion comes from: its own vectors where they can be trusted, else the estimator;
and why."""

from __future__ import annotations

import re
from dataclasses import dataclass

import av

from vssbench.codec.contents import codec_of, trusted
from vssbench.codec.decode import MotionSource
from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.codec.vectors.h264 import H264Vectors
from vssbench.codec.vectors.reader import VectorReader
from vssbench.core import apart
from vssbench.core.errors import DataError, MotionUnavailable
from vssbench.data.opening import open_video
from vssbench.data.videofile import VideoFile

AUTO, OWN, ESTIMATED, NONE = "auto", "codec", "estimated", "none"
WANTED = (AUTO, OWN, ESTIMATED)
#: pixels; the grid on which vectors are kept
CELL = 8
#: what readers advise for a stream of our own, which can be made again
_ADVICE = re.compile(r"[;:,.]? *encode it again\b.*", re.DOTALL)

#: what else can be done, in the words of the command
REMEDY = (
    "Take --motion estimated (optical flow between the decoded frames), --motion auto (the "
    "stream's own wherever they can be trusted, else estimated), or --reencode 'h264[gop=12]' (the "
    "video as our encoder makes it, whose vectors can be read)"
)


@dataclass(frozen=True)
class Choice:
    """``name`` is OWN, ESTIMATED or NONE; ``words`` say what that is here, and why."""

    name: str
    words: str
    source: MotionSource | None


def choose(source: VideoFile, needs: frozenset[str], wanted: str, remedy: str = REMEDY) -> Choice:
    """Choose the source of motion for a method.

    Raises MotionUnavailable, with the ``remedy``, where what is wanted cannot be had.
    """
    if not needs & {"motion", "residual"}:
        return Choice(NONE, "not needed by the method", None)
    if wanted == ESTIMATED:
        return estimated("residual" in needs, "")
    try:
        return apart.call(str(source.path), _own, source, "residual" in needs)
    except (MotionUnavailable, DataError) as reason:
        return instead(source, needs, wanted, reason, remedy)


def of_the_users_own(reason: Exception) -> str:
    """Return the words of a reader without the advice to delete the stream."""
    return _ADVICE.sub("", str(reason))


def instead(
    source: VideoFile,
    needs: frozenset[str],
    wanted: str,
    reason: Exception,
    remedy: str = REMEDY,
) -> Choice:
    """Estimate motion where the stream's own vectors are refused.

    Where that is impossible, MotionUnavailable says what else can be done.
    """
    if wanted == AUTO:
        return estimated("residual" in needs, of_the_users_own(reason))
    raise MotionUnavailable(
        f"the motion vectors of {source.path} cannot be used: {of_the_users_own(reason)}. {remedy}"
    ) from reason


def estimated(residual: bool, reason: str) -> Choice:
    """Return the choice of motion from the pictures, because of ``reason``.

    Raises MotionUnavailable without OpenCV.
    """
    try:
        flow = EstimatedVectors.check()
    except MotionUnavailable as lacking:
        raise MotionUnavailable(f"{reason}; and {lacking}" if reason else str(lacking)) from lacking
    words = f"estimated ({flow})" + (
        f", since the stream's own vectors cannot be used: {reason}" if reason else ""
    )
    return Choice(ESTIMATED, words, MotionSource(EstimatedVectors, residual=residual))


def _own(source: VideoFile, residual: bool) -> Choice:
    """Choose the stream's own vectors, in a process that may die."""
    codec = codec_of(source.codec)
    if codec is None:
        raise MotionUnavailable(f"no reader here knows the motion vectors of {source.codec}")
    words = f"the stream's own vectors ({codec.title}, {trusted(codec)})"
    _examine(source, codec.reader)
    return Choice(OWN, words, MotionSource(codec.reader, codec.motion, residual))


def _examine(source: VideoFile, reader: type[VectorReader]) -> None:
    """Read the headers of the whole stream, where these alone decide.

    This is better now than in the middle of the work.

    Raises MotionUnavailable; DataError for a stream that is cut or broken, or whose headers are not
    understood here.
    """
    if not issubclass(reader, H264Vectors):
        return
    headers = reader(source.height, source.width, CELL)
    try:
        with open_video(str(source.path)) as container:
            stream = container.streams.video[0]
            headers.prepare(stream.codec_context)
            for packet in container.demux(stream):
                apart.tick()
                if packet.size:
                    headers.packet(packet)
    except av.FFmpegError as error:
        raise DataError(
            f"{source.path} cannot be read to its end: {error.strerror}; it is broken"
        ) from error
