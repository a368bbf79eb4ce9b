"""VSPW's labels: 124 classes, stored as 1 to 124; 0 (others) and 255 (void) are not scored
(label_num_dic_final.json and the notice of the published masks)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vssbench.core.dataset import ClassList, Colour
from vssbench.core.video import IGNORE, LabelMap
from vssbench.data.pictures import read_ids

#: the classes by the value of their pixels, from 1 on
CLASSES: tuple[str, ...] = (
    "wall", "ceiling", "door", "stair", "ladder", "escalator", "Playground_slide",
    "handrail_or_fence", "window", "rail", "goal", "pillar", "pole", "floor", "ground", "grass",
    "sand", "athletic_field", "road", "path", "crosswalk", "building", "house", "bridge", "tower",
    "windmill", "well_or_well_lid", "other_construction", "sky", "mountain", "stone", "wood",
    "ice", "snowfield", "grandstand", "sea", "river", "lake", "waterfall", "water",
    "billboard_or_Bulletin_Board", "sculpture", "pipeline", "flag", "parasol_or_umbrella",
    "cushion_or_carpet", "tent", "roadblock", "car", "bus", "truck", "bicycle", "motorcycle",
    "wheeled_machine", "ship_or_boat", "raft", "airplane", "tyre", "traffic_light", "lamp",
    "person", "cat", "dog", "horse", "cattle", "other_animal", "tree", "flower", "other_plant",
    "toy", "ball_net", "backboard", "skateboard", "bat", "ball",
    "cupboard_or_showcase_or_storage_rack", "box", "traveling_case_or_trolley_case", "basket",
    "bag_or_package", "trash_can", "cage", "plate", "tub_or_bowl_or_pot", "bottle_or_cup",
    "barrel", "fishbowl", "bed", "pillow", "table_or_desk", "chair_or_seat", "bench", "sofa",
    "shelf", "bathtub", "gun", "commode", "roaster", "other_machine", "refrigerator",
    "washing_machine", "Microwave_oven", "fan", "curtain", "textiles", "clothes",
    "painting_or_poster", "mirror", "flower_pot_or_vase", "clock", "book", "tool", "blackboard",
    "tissue", "screen_or_television", "computer", "printer", "Mobile_phone", "keyboard",
    "other_electronic_product", "fruit", "food", "instrument", "train",
)  # fmt: skip
#: values that masks hold
STORED = frozenset({*range(len(CLASSES) + 1), IGNORE})

_TABLE = np.full(256, IGNORE, np.uint8)
_TABLE[1 : len(CLASSES) + 1] = np.arange(len(CLASSES), dtype=np.uint8)


def _colour(value: int) -> Colour:
    """Return the colour that PASCAL VOC's development kit gives a value: its bits, dealt out to the
    three channels from the highest down."""
    return (
        sum(((value >> (3 * turn)) & 1) << (7 - turn) for turn in range(3)),
        sum(((value >> (3 * turn + 1)) & 1) << (7 - turn) for turn in range(3)),
        sum(((value >> (3 * turn + 2)) & 1) << (7 - turn) for turn in range(3)),
    )


PALETTE: tuple[Colour, ...] = tuple(_colour(value) for value in range(1, len(CLASSES) + 1))
LISTS: tuple[ClassList, ...] = (dict(zip(CLASSES, PALETTE, strict=True)),)


def read_labels(path: Path) -> LabelMap:
    """Return the classes of a mask, 0 to 123; others and void are 255.

    Raises DataError for a value that is neither.
    """
    return np.take(_TABLE, read_ids(path, STORED))
