"""CamVid's labels: the 32 colours of the original release, SegNet's indices, and the classes that
both become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vssbench.core.dataset import ClassList, Colour
from vssbench.core.errors import DataError
from vssbench.core.video import IGNORE, LabelMap
from vssbench.data.pictures import read_colours, read_ids

#: SegNet's eleven: class name -> colour
MERGED: dict[str, Colour] = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}
#: class name -> colour, in the order of the class indices
CLASSES: dict[str, Colour] = {**MERGED, "Void": (0, 0, 0)}
#: without Void and with it, as networks are trained on either
LISTS: tuple[ClassList, ...] = (MERGED, CLASSES)
NAMES = tuple(CLASSES)
VOID = NAMES.index("Void")

#: the 32 classes of the original release: name -> (colour, SegNet's class or None where SegNet
#: ignores it)
ORIGINAL_CLASSES: dict[str, tuple[tuple[int, int, int], str | None]] = {
    "Animal": ((64, 128, 64), None),
    "Archway": ((192, 0, 128), None),
    "Bicyclist": ((0, 128, 192), "Bicyclist"),
    "Bridge": ((0, 128, 64), None),
    "Building": ((128, 0, 0), "Building"),
    "Car": ((64, 0, 128), "Car"),
    "CartLuggagePram": ((64, 0, 192), None),
    "Child": ((192, 128, 64), None),
    "Column_Pole": ((192, 192, 128), "Pole"),
    "Fence": ((64, 64, 128), "Fence"),
    "LaneMkgsDriv": ((128, 0, 192), "Road"),
    "LaneMkgsNonDriv": ((192, 0, 64), "Road"),
    "Misc_Text": ((128, 128, 64), "SignSymbol"),
    "MotorcycleScooter": ((192, 0, 192), "Bicyclist"),
    "OtherMoving": ((128, 64, 64), None),
    "ParkingBlock": ((64, 192, 128), "Pavement"),
    "Pedestrian": ((64, 64, 0), "Pedestrian"),
    "Road": ((128, 64, 128), "Road"),
    "RoadShoulder": ((128, 128, 192), "Road"),
    "Sidewalk": ((0, 0, 192), "Pavement"),
    "SignSymbol": ((192, 128, 128), "SignSymbol"),
    "Sky": ((128, 128, 128), "Sky"),
    "SUVPickupTruck": ((64, 128, 192), "Car"),
    "TrafficCone": ((0, 0, 64), None),
    "TrafficLight": ((0, 64, 64), "SignSymbol"),
    "Train": ((192, 64, 128), None),
    "Tree": ((128, 128, 0), "Tree"),
    "Truck_Bus": ((192, 128, 192), "Car"),
    "Tunnel": ((64, 0, 64), None),
    "VegetationMisc": ((192, 192, 0), "Tree"),
    "Void": ((0, 0, 0), None),
    "Wall": ((64, 192, 0), "Building"),
}

#: the one class of the original 32 that AR-Seg's code takes for each class of CLASSES; it merges
#: none
UNMERGED = (
    "Sky", "Building", "Column_Pole", "Road", "Sidewalk", "Tree", "SignSymbol", "Fence", "Car",
    "Pedestrian",
    "Bicyclist", "Void",
)  # fmt: skip


def from_ids(path: Path, void: int) -> LabelMap:
    """Return class indices of an annotation of indices; 11 becomes ``void``. Raises DataError for
    an index out of range."""
    labels = read_ids(path, {*range(VOID + 1), IGNORE})
    labels[labels == VOID] = void
    return labels


def colour_table(classes: int) -> npt.NDArray[np.uint8]:
    """Return (64, 4): red, green, blue and class index of CamVid's colours, each in the row that
    :func:`_place` gives it."""
    # a free place keeps black, whose own place is 0: no colour there equals it
    table = np.zeros((64, 4), np.uint8)
    for name, (colour, merged) in ORIGINAL_CLASSES.items():
        if classes > VOID:
            index = UNMERGED.index(name) if name in UNMERGED else IGNORE
        else:
            index = NAMES.index(merged) if merged is not None else IGNORE
        table[_place(np.array(colour, np.uint8))] = (*colour, index)
    return table


def _place(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Map each colour (..., 3) to a number below 64, its own for each of CamVid's.

    Their channels are 0, 64, 128 or 192.
    """
    top = colours >> 6
    return np.asarray(top[..., 0] << 4 | top[..., 1] << 2 | top[..., 2], np.uint8)


def from_colours(path: Path, table: npt.NDArray[np.uint8]) -> LabelMap:
    """Return class indices of a colour annotation. Raises DataError that names a colour which is
    none of CamVid's 32."""
    colours = read_colours(path)
    place = _place(colours)
    unknown = np.zeros(place.shape, bool)
    for channel in range(3):  # a channel at a time is five times as fast as all three at once
        unknown |= np.take(table[:, channel], place) != colours[..., channel]
    if unknown.any():
        y, x = np.argwhere(unknown)[0]
        colour = tuple(colours[y, x].tolist())
        raise DataError(
            f"{path} has the colour {colour} at x={x} y={y} ({int(unknown.sum())} pixels in all): "
            "expected CamVid's 32 label colours only; use the annotations as published, neither "
            "scaled nor compressed with loss"
        )
    return np.take(table[:, 3], place)
