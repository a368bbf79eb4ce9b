"""The bitstream of a clip: encoded once and kept in a cache, or encoded to a temporary file that is removed."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av

from vssbench.codec.encode import EncoderSettings, encode
from vssbench.errors import DataError
from vssbench.video import Clip, Image

SUFFIX = ".mkv"
CHECKSUM_DIGITS = 16


@contextmanager
def bitstream(clip: Clip, settings: EncoderSettings, cache: Path | None = None) -> Iterator[Path]:
    """The path of the clip's bitstream, encoded now unless the folder ``cache`` holds it.

    Safe under many processes: each writes under a name of its own and renames it. Raises DataError where the clip's
    frames are not what it says, or the cache cannot be written.
    """
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="vssbench-") as folder:
            path = Path(folder) / f"clip{SUFFIX}"
            _write(clip, settings, path)
            yield path
        return
    key = cache_key(clip, settings)
    kept = sorted(cache.glob(f"{key}.*{SUFFIX}"))
    if kept and _checksum(kept[0]) != kept[0].suffixes[-2][1:]:
        raise DataError(f"{kept[0]} is not as it was written: it was damaged on disk. Delete it: it will be encoded again")
    yield kept[0] if kept else _write_atomically(clip, settings, cache, key)


def cache_key(clip: Clip, settings: EncoderSettings) -> str:
    """Hash of all that determines the bits: the clip's content and size, the encoder's settings, the libraries."""
    identity = {
        "clip": [clip.fingerprint, clip.length, clip.height, clip.width, clip.fps],
        "encoder": asdict(settings),
        "libraries": library_versions(),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def library_versions() -> dict[str, Any]:
    """The versions of PyAV and of FFmpeg's libraries that shape a bitstream and the images decoded from it."""
    names = ("libavcodec", "libswscale")
    return {"av": av.__version__, **{name: ".".join(map(str, av.library_versions[name])) for name in names}}


def _write_atomically(clip: Clip, settings: EncoderSettings, cache: Path, key: str) -> Path:
    """Encode into the cache; the name tells the content's checksum, since FFmpeg conceals some damage when decoding."""
    temporary = None
    try:
        cache.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{key[:16]}-", suffix=".part", dir=cache)
        os.close(handle)
        temporary = Path(name)
        _write(clip, settings, temporary)
        path = cache / f"{key}.{_checksum(temporary)}{SUFFIX}"
        os.replace(temporary, path)
        return path
    except OSError as error:
        raise DataError(f"cannot write the bitstream cache {cache}: {error.strerror or error}; choose another") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:CHECKSUM_DIGITS]


def _write(clip: Clip, settings: EncoderSettings, path: Path) -> None:
    count = encode(_checked(clip), path, settings, clip.fps)
    if count != clip.length:
        raise DataError(f"the clip {clip.name!r} gave {count} frames, expected {clip.length}")


def _checked(clip: Clip) -> Iterator[Image]:
    for index, image in enumerate(clip.images()):
        if image.shape != (clip.height, clip.width, 3):
            raise DataError(
                f"frame {index} of the clip {clip.name!r} is {image.shape}, expected {(clip.height, clip.width, 3)}: all "
                "frames of a clip must have one size"
            )
        yield image
