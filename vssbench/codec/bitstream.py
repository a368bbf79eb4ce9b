"""The bitstream of a clip: encoded once and kept in a cache, or encoded to a temporary file that is
removed."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av

from vssbench.codec import cache as caches
from vssbench.codec.cache import RECORD_SUFFIX, SUFFIX
from vssbench.codec.encode import EncoderSettings, encode
from vssbench.codec.quality import CodedFrame
from vssbench.core import files, hidden, reading
from vssbench.core.ahead import raise_if_unwanted
from vssbench.core.errors import DataError
from vssbench.core.video import Clip, Image

_logger = logging.getLogger(__name__)

CHECKSUM_DIGITS = 16
#: as FFmpeg names them; "?" is one that it has no name for here
PICTURE_TYPES = ("I", "P", "B", "?")


@dataclass(frozen=True)
class Bitstream:
    """A stream on disk, and what became of each frame, in display order."""

    path: Path
    frames: list[CodedFrame]


@contextmanager
def bitstream(
    clip: Clip, settings: EncoderSettings, cache: Path | None = None, fps: float = 0.0
) -> Iterator[Bitstream]:
    """Yield the clip's bitstream, encoded now unless the folder ``cache`` holds it. ``fps`` 0 is
    the clip's own.

    Safe under many processes: one encodes, under a name of its own that is renamed, and the others
    wait for it. A kept stream that was damaged on disk is encoded again, and none is removed while
    it is in use. Raises DataError where the clip's frames are not what
    it says, or the cache cannot be written.
    """
    fps = fps or clip.fps
    if cache is None:
        with hidden.temporary() as folder:
            path = folder / f"clip{SUFFIX}"
            yield Bitstream(path, _write(clip, settings, path, fps))
        return
    key = cache_key(clip, settings, fps)
    with caches.in_use(cache, key):
        stream = _find(cache, key, clip.length)
        if stream is None:
            with caches.encoding(cache, key, raise_if_unwanted):
                stream = _find(cache, key, clip.length) or _encode_into(
                    clip, settings, cache, key, fps
                )
            caches.trim(cache)
        caches.touch(stream.path)
        yield stream


def _find(cache: Path, key: str, length: int) -> Bitstream | None:
    cached = (_kept(path, length) for path in sorted(cache.glob(f"{key}.*{SUFFIX}")))
    return next(filter(None, cached), None)


def cache_key(clip: Clip, settings: EncoderSettings, fps: float) -> str:
    """Hash of all that determines the bits: the clip's content and size, the encoder's settings,
    the libraries."""
    identity = {
        "clip": [clip.fingerprint, clip.length, clip.height, clip.width, fps],
        "encoder": asdict(settings),
        "libraries": library_versions(),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def library_versions() -> dict[str, Any]:
    """Return the versions of PyAV and of FFmpeg's libraries that shape a bitstream and the images
    decoded from it."""
    names = ("libavcodec", "libswscale")
    return {
        "av": av.__version__,
        **{name: ".".join(map(str, av.library_versions[name])) for name in names},
    }


def _kept(path: Path, length: int) -> Bitstream | None:
    """Return a stream of the cache with its record of so many frames; None, and a warning, where
    either is not as it was written."""
    record = path.with_suffix(RECORD_SUFFIX)
    try:
        if checksum(path) == path.suffixes[-2][1:]:
            return Bitstream(path, _recorded(reading.read_json(record), length))
        reason = "its checksum is another"
    except (OSError, DataError, ValueError, TypeError) as error:
        reason = str(error)
    _logger.warning("%s is not as it was written (%s): it is encoded again", path, reason)
    return None


def _recorded(content: Any, length: int) -> list[CodedFrame]:
    """Return the frames of a record as JSON gives it. Raises ValueError, TypeError."""
    if not isinstance(content, list) or len(content) != length:
        raise ValueError(f"its record is not one of {length} frames")
    frames = [CodedFrame(**frame) for frame in content]
    for number, frame in enumerate(frames):
        numbers = frame.psnr_db, frame.ssim
        # a PSNR may be infinite
        known = all(type(each) is float and not math.isnan(each) for each in numbers)
        fits = known and frame.psnr_db >= 0 and abs(frame.ssim) <= 1
        if not fits or frame.picture_type not in PICTURE_TYPES:
            raise ValueError(f"its record of frame {number} holds values that cannot be")
    return frames


def _encode_into(
    clip: Clip, settings: EncoderSettings, cache: Path, key: str, fps: float
) -> Bitstream:
    """Encode into the cache; the name tells the content's checksum, since FFmpeg conceals some
    damage when decoding."""
    try:
        with files.drafts(cache) as under_way:
            stream, record = (
                under_way.path / f"clip{SUFFIX}",
                under_way.path / f"clip{RECORD_SUFFIX}",
            )
            frames = _write(clip, settings, stream, fps)
            record.write_text(json.dumps([asdict(frame) for frame in frames]), encoding="utf-8")
            path = cache / f"{key}.{checksum(stream)}{SUFFIX}"
            # the record first: a stream counts only with its record
            under_way.publish(record, path.with_suffix(RECORD_SUFFIX))
            under_way.publish(stream, path)
            return Bitstream(path, frames)
    except OSError as error:
        raise DataError(
            f"cannot write the bitstream cache {cache}: {error.strerror or error}; choose another"
        ) from error


def checksum(path: Path) -> str:
    """Return the checksum of a file as names of the cache tell it. Raises OSError, DataError."""
    reading.check_readable(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:CHECKSUM_DIGITS]


def _write(clip: Clip, settings: EncoderSettings, path: Path, fps: float) -> list[CodedFrame]:
    frames = encode(_checked(clip), path, settings, fps)
    if len(frames) != clip.length:
        raise DataError(f"the clip {clip.name!r} gave {len(frames)} frames, expected {clip.length}")
    return frames


def _checked(clip: Clip) -> Iterator[Image]:
    for index, image in enumerate(clip.images()):
        if image.shape != (clip.height, clip.width, 3):
            raise DataError(
                f"frame {index} of the clip {clip.name!r} is {image.shape}, expected "
                f"{(clip.height, clip.width, 3)}: all frames of a clip must have one size"
            )
        yield image
