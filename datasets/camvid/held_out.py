"""Frames of the published training splits that are held out of training, as data.

They never change, so that held-out scores stay comparable. CamVid: four stretches of the three
training drives, 38 of SegNet's 367 stills, chosen so that every class has nearly the share of the
pixels that it has in the rest (0.85 to 1.19 of it). Cityscapes: three of the 18 training cities,
300 of 2975 frames, from the west, the east and the south of Germany.
"""

from __future__ import annotations

from vssbench.core.division import Part

#: sequence -> first and last frame number of each stretch
CAMVID = {
    "0001TP": ((7140, 7320),),
    "0006R0": ((3270, 3570),),
    "0016E5": ((1680, 1890), (6060, 6390)),
}
#: frames (one second) beside a stretch that are neither trained on nor held out
CAMVID_MARGIN = 30
CAMVID_RULE = "stretches of the training drives, a second beside each left out: " + ", ".join(
    f"{sequence} {first} to {last}"
    for sequence, stretches in CAMVID.items()
    for first, last in stretches
)

CITYSCAPES = ("bochum", "erfurt", "ulm")
CITYSCAPES_RULE = f"the training cities {', '.join(CITYSCAPES)}"


def camvid_part(sequence: str, number: int) -> Part:
    """Where a frame of CamVid's training split belongs, by its sequence and its number in the names
    of files."""
    for first, last in CAMVID.get(sequence, ()):
        if first <= number <= last:
            return "validation"
        if first - CAMVID_MARGIN <= number <= last + CAMVID_MARGIN:
            return "neither"
    return "training"


def cityscapes_part(city: str) -> Part:
    """Where a city of Cityscapes' training split belongs."""
    return "validation" if city in CITYSCAPES else "training"
