"""Cityscapes' labels: 34 label ids, of which 19 are evaluated, each by its train id
(cityscapesScripts, helpers/labels.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vssbench.core.dataset import ClassList
from vssbench.core.video import IGNORE, LabelMap
from vssbench.data.stills import read_ids

#: label ids of the 19 classes, in the order of their train ids
EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
LABEL_IDS = range(34)
TRAIN_IDS = range(len(EVALUATED))

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
