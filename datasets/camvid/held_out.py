"""Frames of the published training split that are held out of training, as data.

They never change, so that held-out scores stay comparable: four stretches of the three training
drives, 38 of SegNet's 367 stills, chosen so that every class has nearly the share of the pixels
that it has in the rest (0.85 to 1.19 of it).
"""

from __future__ import annotations

from vssbench.core.division import Part

#: sequence -> first and last frame number of each stretch
STRETCHES = {
    "0001TP": ((7140, 7320),),
    "0006R0": ((3270, 3570),),
    "0016E5": ((1680, 1890), (6060, 6390)),
}
#: frames (one second) beside a stretch that are neither trained on nor held out
MARGIN = 30
RULE = "stretches of the training drives, a second beside each left out: " + ", ".join(
    f"{sequence} {first} to {last}"
    for sequence, stretches in STRETCHES.items()
    for first, last in stretches
)


def part(sequence: str, number: int) -> Part:
    """Return where a frame of the training split belongs, by its sequence and its number in file
    names."""
    for first, last in STRETCHES.get(sequence, ()):
        if first <= number <= last:
            return "validation"
        if first - MARGIN <= number <= last + MARGIN:
            return "neither"
    return "training"
