"""Cityscapes' labels: 34 label ids, of which 19 are evaluated, each by its train id
(cityscapesScripts, helpers/labels.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from vssbench.core.dataset import ClassList
from vssbench.core.errors import DataError
from vssbench.core.video import IGNORE, LabelMap
from vssbench.data.pictures import read_ids

#: label ids of the 19 classes, in the order of their train ids
EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
LABEL_IDS = range(34)
TRAIN_IDS = range(len(EVALUATED))
#: files of each city by which label ids and train ids are told apart
SAMPLE = 3

PALETTE: tuple[tuple[int, int, int], ...] = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
    (250, 170, 30),
    (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0,
    0, 142), (0, 0, 70),
    (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip
#: the 19 classes that are evaluated, in the order of their train ids
CLASSES: tuple[str, ...] = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
    "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
LISTS: tuple[ClassList, ...] = (dict(zip(CLASSES, PALETTE, strict=True)),)

_TABLE = np.full(256, IGNORE, np.uint8)
_TABLE[list(EVALUATED)] = np.arange(len(EVALUATED), dtype=np.uint8)


def read_labels(path: Path) -> LabelMap:
    """Train ids of a file of label ids (``..._labelIds.png``) or of train ids
    (``..._labelTrainIds.png``), by its name.

    Raises DataError for a value that is neither.
    """
    if path.stem.endswith("labelTrainIds"):
        return read_ids(path, {*TRAIN_IDS, IGNORE})
    return np.take(_TABLE, read_ids(path, {*LABEL_IDS, IGNORE}))


def misnamed_train_ids(labels: Iterable[tuple[str, Path]]) -> Iterator[str]:
    """Yield the fault of every city whose files of label ids hold train ids, by its first files.

    ``labels`` are cities with their files. Label ids know no 255, and programs that write license
    plates (-1) as 255 write the vehicle that bears one as well, which is above 18. So files with
    255 and nothing else above 18 hold train ids; those without 255 may be either and are let be.
    """
    sample: dict[str, list[Path]] = {}
    for city, path in labels:
        its_files = sample.setdefault(city, [])
        if path.stem.endswith("labelIds") and len(its_files) < SAMPLE and path not in its_files:
            its_files.append(path)
    for city, paths in sample.items():
        held = _values(paths)
        if IGNORE in held and held & {*TRAIN_IDS} and held <= {*TRAIN_IDS, IGNORE}:
            others = f" and the next {len(paths) - 1} of {city}" if paths[1:] else ""
            yield (
                f"{paths[0]}{others}: train ids under the name of label ids: found {IGNORE} and no "
                f"other value above {TRAIN_IDS[-1]}, expected label ids (0-{LABEL_IDS[-1]}, "
                f"without {IGNORE}), by which {EVALUATED[0]} is {CLASSES[0]}; rename files of "
                "train ids to ..._labelTrainIds.png, or get gtFine's ..._labelIds.png again"
            )


def _values(paths: Iterable[Path]) -> set[int]:
    """Return the values of files; those that do not read are named where they are needed."""
    held: set[int] = set()
    for path in paths:
        with suppress(DataError):
            held.update(np.unique(read_ids(path, range(256))).tolist())
    return held
