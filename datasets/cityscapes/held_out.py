"""Cities of the published training split that are held out of training, as data.

They never change, so that held-out scores stay comparable: three of the 18 training cities, 300 of
2975 frames, from the west, the east and the south of Germany.
"""

from __future__ import annotations

from vssbench.core.division import Part

CITIES = ("bochum", "erfurt", "ulm")
RULE = f"the training cities {', '.join(CITIES)}"


def part(city: str) -> Part:
    """Return where a city of the training split belongs."""
    return "validation" if city in CITIES else "training"
