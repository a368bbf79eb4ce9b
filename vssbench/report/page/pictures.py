"""Pictures of a page: the worst frames as strips, a loop of predictions; drawn and inlined."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from vssbench.core.program import program
from vssbench.core.video import IGNORE, Image, LabelMap

#: pixels across a picture of a strip, and of a loop
WIDTH, LOOP_WIDTH = 320, 240
#: WebP's quality where a picture is a photograph, and of errors
QUALITY = 72
WRONG = np.array([220, 30, 40], np.uint8)
VOID = (np.uint8(119), np.uint8(187))


@dataclass(frozen=True)
class Picture:
    """A picture as it stands in the page, and words for those who do not see it."""

    source: str
    words: str


@dataclass(frozen=True)
class Tile:
    """One or more pictures below each other with a title; ``run`` is the number of their run, None
    where they are of all."""

    title: str
    pictures: tuple[Picture, ...]
    run: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Series:
    """Frame after frame of one thing; ``run`` as in :class:`Tile`."""

    title: str
    sources: tuple[str, ...]
    run: int | None = None


@dataclass(frozen=True)
class Strip:
    """A frame: its input, its label, and each method's prediction with its errors."""

    title: str
    tiles: tuple[Tile, ...]
    width: int
    height: int


@dataclass(frozen=True)
class Loop:
    """Frames from a keyframe on, of the input and of each method."""

    title: str
    series: tuple[Series, ...]
    width: int
    height: int

    @property
    def length(self) -> int:
        """The number of frames."""
        return len(self.series[0].sources)


@dataclass(frozen=True)
class Scene:
    """The pictures of one set of conditions, and the colours of its classes by their names."""

    condition: int
    colours: tuple[tuple[str, str], ...]
    strips: tuple[Strip, ...]
    loop: Loop | None = None


@dataclass(frozen=True)
class Pictures:
    """The pictures of a page; ``notes`` say why some are missing."""

    scenes: tuple[Scene, ...] = ()
    notes: tuple[str, ...] = ()


def none() -> Pictures:
    """Return no pictures, and the note that says how to get some."""
    return Pictures(notes=(
        f"Pictures were not asked for: `{program()} report --pictures 2` segments the two worst "
        "frames at the greatest distance again, and draws them.",
    ))  # fmt: skip


def scene_bytes(scene: Scene) -> int:
    """Return the length of a scene's pictures."""
    sources = [each.source for strip in scene.strips for tile in strip.tiles
               for each in tile.pictures]  # fmt: skip
    if scene.loop:
        sources += [source for series in scene.loop.series for source in series.sources]
    return sum(map(len, sources))


def size_of(height: int, width: int, across: int) -> tuple[int, int]:
    """Return the (width, height) of a picture at most ``across`` pixels wide."""
    shown = min(across, width)
    return shown, max(1, round(height * shown / width))


def photograph(image: Image, across: int = WIDTH) -> str:
    """Return an image (H, W, 3) as a picture to stand in a page."""
    picture = Pillow.fromarray(image)
    size = size_of(image.shape[0], image.shape[1], across)
    return _inlined(picture.resize(size, Pillow.Resampling.LANCZOS), lossless=False)


def drawing(labels: LabelMap, palette: npt.NDArray[np.uint8], across: int = WIDTH) -> str:
    """Return labels (H, W) in their colours; what carries none is hatched."""
    shown = _nearest(labels, across)
    image = np.take(palette, shown, axis=0)
    image[shown == IGNORE] = _hatched(shown.shape)[shown == IGNORE]
    return _inlined(Pillow.fromarray(image), lossless=True)


def errors(image: Image, label: LabelMap, labels: LabelMap, across: int = WIDTH) -> str:
    """Return the image in grey with wrong pixels in red; what carries no label is hatched."""
    size = size_of(image.shape[0], image.shape[1], across)
    grey = np.asarray(Pillow.fromarray(image).convert("L").resize(size))
    base = np.repeat((grey // 2 + 100)[:, :, None].astype(np.uint8), 3, axis=2)
    truth, guess = (_nearest(each, across) for each in (label, labels))
    if truth.shape != grey.shape:  # labels of another size than the frame's
        base = np.asarray(Pillow.fromarray(base).resize(truth.shape[::-1])).copy()
    base[(truth != guess) & (truth != IGNORE)] = WRONG
    base[truth == IGNORE] = _hatched(truth.shape)[truth == IGNORE]
    return _inlined(Pillow.fromarray(base), lossless=False)


def _nearest(labels: LabelMap, across: int) -> LabelMap:
    size = size_of(labels.shape[0], labels.shape[1], across)
    return np.asarray(Pillow.fromarray(labels).resize(size, Pillow.Resampling.NEAREST))


def _hatched(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    rows, columns = np.indices(shape[:2])
    stripes = np.where((rows + columns) // 4 % 2 == 0, *VOID).astype(np.uint8)
    return np.repeat(stripes[:, :, None], 3, axis=2)


def _inlined(picture: Pillow.Image, lossless: bool) -> str:
    file = io.BytesIO()
    picture.save(file, "WEBP", lossless=lossless, quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
