"""Footage without labels as a clip: a folder of images, or a video file."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from vssbench.core import reading
from vssbench.core.errors import DataError
from vssbench.core.shown import encoded
from vssbench.core.video import Clip, Image
from vssbench.data.movie import Movie
from vssbench.data.pictures import read_image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp", ".tif", ".tiff")
#: frames a second of a folder of images, which has no clock
FOLDER_FPS = 30.0
_CHUNK = 1 << 20


def footage(path: Path) -> Clip:
    """Return the clip in a folder of images, in the order of their names, or in a video file.
    Raises DataError."""
    return folder_clip(path) if path.is_dir() else video_clip(path)


def folder_clip(folder: Path) -> Clip:
    """Return all images of a folder, of one size. Raises DataError where there is none, or one does
    not read or differs."""
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
    """Return the first video stream of a file, all of it decoded once, then as it is read. Raises
    DataError where it cannot be, is damaged, or holds no frame."""
    movie = Movie(path)
    return Clip(
        path.name, len(movie), *movie.size, movie.fps, movie.image, _no_label, _fingerprint([path])
    )


def _no_label(index: int) -> None:
    """Give no label: footage has none."""


def _fingerprint(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        reading.check_readable(file)
        digest.update(encoded(f"{file.name}\0{file.stat().st_size}\0"))
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
