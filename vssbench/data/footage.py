"""Footage without labels as a clip: a folder of images, or a video file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import av
import numpy as np

from vssbench.core.errors import DataError
from vssbench.core.video import Clip, Image
from vssbench.data.opening import TO_RGB, open_video
from vssbench.data.stills import read_image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp", ".tif", ".tiff")
#: frames a second of a folder of images, which has no clock
FOLDER_FPS = 30.0
_CHUNK = 1 << 20


def footage(path: Path) -> Clip:
    """The clip in a folder of images, in the order of their names, or in a video file. Raises
    DataError."""
    return folder_clip(path) if path.is_dir() else video_clip(path)


def folder_clip(folder: Path) -> Clip:
    """All images of a folder, of one size. Raises DataError where there is none, or one does not
    read or differs."""
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise DataError(
            f"the folder {folder} holds no image: expected files that end in "
            f"{', '.join(IMAGE_SUFFIXES)}"
        )
    height, width = read_image(files[0]).shape[:2]
    read = partial(_read_sized, files, height, width)
    return Clip(
        folder.name, len(files), height, width, FOLDER_FPS, read, _no_label, _fingerprint(files)
    )


def _read_sized(files: list[Path], height: int, width: int, index: int) -> Image:
    image = read_image(files[index])
    if image.shape[:2] != (height, width):
        raise DataError(
            f"{files[index]} is {image.shape[1]}x{image.shape[0]}, {files[0].name} before it "
            f"{width}x{height}: all images of a folder must have one size"
        )
    return image


def video_clip(path: Path) -> Clip:
    """The first video stream of a file, decoded as it is read. Raises DataError where it cannot be,
    or holds no frame."""
    pictures = _Pictures(path)
    first = pictures(0)
    length = pictures.count()
    height, width = first.shape[:2]
    return Clip(
        path.name, length, height, width, pictures.fps, pictures, _no_label, _fingerprint([path])
    )


@dataclass
class _Pictures:
    """Reads a file's pictures by index: fast in order, from the beginning again where an earlier
    one is asked for."""

    path: Path
    fps: float = FOLDER_FPS
    _next: int = 0
    _pictures: Iterator[av.VideoFrame] = field(default_factory=lambda: iter(()))
    _image: Image | None = None

    def __call__(self, index: int) -> Image:
        if self._image is None or index < self._next - 1:
            self._pictures, self._next = self._decoded(), 0
        while self._next <= index:
            picture = next(self._pictures, None)
            if picture is None:
                raise DataError(
                    f"{self.path} holds {self._next} frames; frame {index} is not there"
                )
            self._next += 1
            if self._next > index:
                self._image = np.asarray(picture.to_ndarray(format="rgb24", interpolation=TO_RGB))
        assert self._image is not None
        return self._image

    def count(self) -> int:
        """Count the pictures by decoding them, since a file's header need not say."""
        return sum(1 for _ in self._decoded())

    def _decoded(self) -> Iterator[av.VideoFrame]:
        try:
            with open_video(str(self.path)) as container:
                if not container.streams.video:
                    raise DataError(
                        f"{self.path} holds no video: expected a video file, a folder of images or "
                        "a dataset"
                    )
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                self.fps = float(stream.average_rate or stream.guessed_rate or FOLDER_FPS)
                yield from container.decode(stream)
        except (av.FFmpegError, OSError) as error:
            raise DataError(
                f"{self.path} cannot be read as a video: {error.strerror or error}. Expected a "
                "video file, a folder of images or a clip of a dataset"
            ) from error


def _no_label(index: int) -> None:
    """Footage carries no labels."""


def _fingerprint(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
