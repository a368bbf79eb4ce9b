"""Predictions of another program: label images or arrays in a folder, found by the names of the
frames, each checked before anything is scored."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from vssbench.core.arrays import read_array
from vssbench.core.errors import DataError
from vssbench.core.program import program
from vssbench.core.shown import encoded, plural
from vssbench.core.video import LabelMap
from vssbench.data.ondisk import shown
from vssbench.data.pictures import read_png
from vssbench.exchange.layout import Key, Layout, Place, label_size
from vssbench.metrics.expected import Header

ENDINGS = (".png", ".npy")
#: what may pass for predictions by mistake; files of any other kind are left alone
_OTHERS = (
    ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".npz",
)  # fmt: skip
#: pixel types of Pillow that hold one class index of 8 bits
_INDEXED = ("L", "P")


@dataclass(frozen=True)
class Predictions:
    """The predictions of a folder by the frames that they are for.

    ``sizes`` is the (height, width) of each clip's labels, which predictions must have.
    """

    root: Path
    files: Mapping[Key, Path]
    paths: Mapping[Key, str]
    sizes: Sequence[tuple[int, int]]
    classes: int

    def read(self, key: Key) -> LabelMap | None:
        """Return the prediction of a frame, uint8 (H, W), None where there is none. Raises
        DataError for one that cannot be scored."""
        path = self.files.get(key)
        return None if path is None else read(path, self.sizes[key[0]], self.classes)

    def digest(self, advance: Callable[[], object] = lambda: None) -> str:
        """Read and check every prediction; return the sha256 of them all, by frame.

        It tells labels, not files: a PNG and an array of the same classes have the same. Raises
        DataError.
        """
        digest = hashlib.sha256()
        for key in sorted(self.files, key=lambda key: self.paths[key]):
            labels = self.read(key)
            assert labels is not None
            digest.update(encoded(f"{self.paths[key]}\0{labels.shape}\0"))
            digest.update(labels.tobytes())
            advance()
        return digest.hexdigest()


def find(root: Path, layout: Layout, classes: int, every: bool) -> Predictions:
    """Find the predictions of a folder.

    One is needed for each labelled frame, and for ``every`` frame where a measure over time is
    asked for. Raises DataError where one is missing, two are of one frame, or a file is of none.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder: expected one with a prediction for every frame")
    files, strangers = _matched(root, layout.places)
    needed = [place for place in layout.places if every or place.labelled]
    if not needed:
        raise DataError("the dataset holds no labelled frame: nothing to score")
    missing = [place for place in needed if place.key not in files]
    if missing:
        raise DataError(_missing(root, layout, missing, len(needed), strangers))
    if strangers:
        raise DataError(
            f"{root} holds {_named(strangers)}: expected names as {layout.places[0].path}.png; "
            f"`{program()} export` lists them. Move what is no prediction out of the folder"
        )
    paths = {place.key: place.path for place in layout.places if place.key in files}
    sizes = [label_size(clip) for clip in layout.clips]
    return Predictions(root, files, paths, sizes, classes)


def read(path: Path, size: tuple[int, int], classes: int) -> LabelMap:
    """Return the classes of a PNG or an array, uint8 (H, W). Raises DataError where its pixels are
    no class indices of ``classes`` classes at that size (height, width)."""
    labels = _array(path) if path.suffix.lower() == ".npy" else _image(path)
    if labels.shape != size:
        raise DataError(
            f"{path} is {_by(labels.shape)} (height x width), and the frame's label "
            f"{_by(size)}: scale the network's outputs to the label's size before the largest is "
            "taken"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        wrong = (labels < 0) | (labels >= classes)
        y, x = np.argwhere(wrong)[0]
        raise DataError(
            f"{path} holds {labels[y, x]}, first at x={x} y={y}, which is no class: expected 0 to "
            f"{classes - 1}, in the dataset's order (`{program()} export` writes classes.csv)"
        )
    return labels.astype(np.uint8)


def _image(path: Path) -> npt.NDArray[np.uint8]:
    kind, mode, labels = read_png(path, _INDEXED)
    if labels is None and kind != "PNG":
        lossy = ", which changes values as it is saved" if kind in ("JPEG", "WEBP") else ""
        raise DataError(
            f"{path} is {kind}{lossy}: expected a PNG of class indices, or an array (.npy)"
        )
    if labels is None:
        raise DataError(
            f"{path} has pixels of type {mode}: expected one class index of 8 bits a pixel (grey "
            "or palette); write class indices, no colours"
        )
    return labels


def _array(path: Path) -> npt.NDArray[np.integer]:
    def fits(header: Header) -> None:
        shape, dtype = header
        if dtype.kind not in "iu" or len(shape) != 2:
            raise DataError(
                f"{path} holds {dtype} of shape {shape}: expected whole numbers (H, W), a class "
                "index a pixel; of scores take the class of the largest (argmax)"
            )

    return read_array(path, fits)


def _matched(root: Path, places: Sequence[Place]) -> tuple[dict[Key, Path], list[str]]:
    """Return the files by the frames that they are for, and those that are for none.

    The clip's folder may be left out where no other frame has the name. Raises DataError for two
    files of one frame, and for a format that changes values.
    """
    known = {place.path: place.key for place in places}
    short = Counter(map(_without_clip, known))
    for place in places:
        if short[_without_clip(place.path)] == 1:
            known.setdefault(_without_clip(place.path), place.key)
    files: dict[Key, Path] = {}
    strangers: list[str] = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        ending = path.suffix.lower()
        if ending not in (*ENDINGS, *_OTHERS) or not path.is_file() or _hidden(name.parts):
            continue
        key = known.get(name.with_suffix("").as_posix())
        if key is None:
            strangers.append(name.as_posix())
        elif ending not in ENDINGS:
            raise DataError(
                f"{path} is {ending[1:].upper()}: expected predictions as PNG or .npy, which keep "
                "every value"
            )
        elif key in files:
            raise DataError(
                f"{files[key]} and {path} are for the same frame: expected one prediction a frame; "
                "put one of them elsewhere"
            )
        else:
            files[key] = path
    return files, strangers


def _missing(
    root: Path, layout: Layout, missing: Sequence[Place], needed: int, strangers: Sequence[str]
) -> str:
    """Say which predictions are missing, and what lies there in their place."""
    first = missing[0].path
    said = (
        f"{len(missing)} of {needed} predictions are missing in {root}, the first is {first}.png "
        f"(or .npy) for frame {missing[0].key[1]} of {layout.clips[missing[0].key[0]].name!r}"
    )
    if strangers:
        said += f"; it holds {_named(strangers)}"
    elif len(missing) == needed:
        said += f"; found {shown(sorted(root.iterdir()))}"
    if not layout.protocol.continuous:
        said += (
            f". The protocol {layout.protocol.name} scores a frame at several distances: expected "
            f"a folder for each, d0 to d{layout.gop - 1}"
        )
    return f"{said}. `{program()} export` lists the names"


def _without_clip(path: str) -> str:
    """Leave a clip's folder out of a place's path."""
    parts = PurePosixPath(path).parts
    return "/".join((*parts[:-2], parts[-1]))


def _named(strangers: Sequence[str]) -> str:
    return f"{plural(len(strangers), 'file')} named as no frame is, the first is {strangers[0]}"


def _hidden(parts: Collection[str]) -> bool:
    return any(part.startswith(".") for part in parts)


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
