"""Contents of a video file: pictures, GOPs, bits, and whether its motion vectors can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av

from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encoded import EncodedCodec
from vssbench.codec.vectors.proof import prove
from vssbench.core import apart, registry
from vssbench.core.errors import DataError, MotionUnavailable
from vssbench.core.video import Frame
from vssbench.data.opening import open_video
from vssbench.data.videofile import VideoFile, open_videofile

#: picture types that are written out at most
_PATTERN = 64


@dataclass(frozen=True)
class Contents:
    """A file's first video stream. ``codec`` is FFmpeg's name; ``height`` and ``width`` are those
    of a picture the right way up, ``remarks`` what is to be said of how it is taken; ``types``
    counts picture types, ``mean_bits`` is of each; ``gops`` are the lengths from keyframe to
    keyframe; ``pattern`` the types of the first pictures; ``intra_share`` is the mean over all
    pictures but keyframes, None without vectors; ``reason`` says why those cannot be read, empty if
    they can."""

    path: str
    codec: str
    profile: str
    height: int
    width: int
    fps: float
    frames: int
    bits: int
    bit_rate: float
    types: dict[str, int]
    mean_bits: dict[str, float]
    gops: list[int]
    pattern: str
    vectors: str
    intra_share: float | None
    reason: str
    remarks: tuple[str, ...] = ()


def contents(path: Path, advance: Callable[[], object] = lambda: None) -> Contents:
    """Decode a file and say what it holds; ``advance`` is called for each frame. Raises DataError
    where it is no video."""
    header = open_videofile(path)
    for item in apart.each(str(path), _contents_here, header):
        if item is not None:
            return item
        advance()
    raise AssertionError("the contents come last")


def _contents_here(file: VideoFile) -> Iterator[Contents | None]:
    """Yield None for each frame that is decoded, then what the file holds."""
    path, codec = file.path, codec_of(file.codec)
    vectors, reason = "", "" if codec else f"no codec here reads the motion vectors of {file.codec}"
    frames: list[tuple[str, int, int, float | None]] = []
    if codec is not None:
        try:
            vectors = trusted(codec)
            for frame in decode(path, None, MotionSource(codec.reader, codec.motion)):
                frames.append(_facts(frame))
                yield None
        except (MotionUnavailable, DataError) as error:
            reason = str(error)
    if reason:
        frames = []
        # without vectors a broken stream still raises, and says so
        for frame in decode(path, None):
            frames.append(_facts(frame))
            yield None
    if not frames:
        raise DataError(f"{path} holds no frame that can be decoded; it is empty or broken")
    yield _summary(file, _profile(path), frames, vectors, reason)


def _profile(path: Path) -> str:
    with open_video(str(path)) as container:
        return str(container.streams.video[0].codec_context.profile or "")


def codec_of(canonical: str) -> EncodedCodec | None:
    """Return the codec here whose streams have FFmpeg's name ``canonical``."""
    codec: Any
    for codec in registry.made("codecs", registry.plugins("codecs")):
        try:
            if (
                isinstance(codec, EncodedCodec)
                and av.codec.Codec(codec.encoder().encoder, "w").canonical_name == canonical
            ):
                return codec
        except av.codec.codec.UnknownCodecError:
            continue
    return None


def trusted(codec: EncodedCodec) -> str:
    """Return the source of the vectors in words.

    Raises MotionUnavailable where they cannot be had, or the reader fails its self-test.
    """
    vectors = codec.reader.check()
    if codec.reader.private and (reason := prove(codec).reason):
        raise MotionUnavailable(reason)
    return vectors


def _facts(frame: Frame) -> tuple[str, int, int, float | None]:
    """Return type, distance, bits and share of intra cells of a frame."""
    share = frame.motion.intra_share if frame.motion is not None else None
    return frame.picture_type, frame.distance, frame.bits, share


def _summary(
    file: VideoFile, profile: str, frames: list[tuple[str, int, int, float | None]],
    vectors: str, reason: str,
) -> Contents:  # fmt: skip
    fps = float(file.rate)
    types = Counter(kind for kind, *_ in frames)
    keyframes = [index for index, (_, distance, *_) in enumerate(frames) if distance == 0]
    bits = sum(frame[2] for frame in frames)
    shares = [share for _, distance, _, share in frames if distance and share is not None]
    return Contents(
        path=str(file.path),
        codec=file.codec,
        profile=profile,
        height=file.size[0],
        width=file.size[1],
        fps=fps,
        frames=len(frames),
        bits=bits,
        bit_rate=bits * fps / len(frames),
        types=dict(sorted(types.items())),
        mean_bits={
            kind: sum(frame[2] for frame in frames if frame[0] == kind) / types[kind]
            for kind in sorted(types)
        },
        gops=[end - start for start, end in pairwise([*keyframes, len(frames)])],
        pattern="".join(kind for kind, *_ in frames[:_PATTERN]),
        vectors="" if reason else vectors,
        intra_share=sum(shares) / len(shares) if shares and not reason else None,
        reason=reason,
        remarks=tuple(file.remarks()),
    )
