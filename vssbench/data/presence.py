"""Classes that no mask holds: said before anything is trained or measured, since it is mostly a
fault of the masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np

from vssbench.core.errors import DataError
from vssbench.core.video import IGNORE, Clip, LabelMap


def absent_classes(clips: Sequence[Clip], classes: Sequence[str]) -> list[str]:
    """Return a line that names the classes which no mask of these clips holds, or none.

    Masks are read until every class was seen. Those that do not read are passed over: reading them
    for what they are needed for says so.
    """
    counts = np.zeros(256, np.int64)
    masks = 0
    for label in _labels(clips):
        counts += np.bincount(label.ravel(), minlength=256)
        masks += 1
        if counts[: len(classes)].all():
            return []
    absent = [name for name, count in zip(classes, counts, strict=False) if not count]
    return [_line(absent, counts, classes, masks)] if masks else []


def _labels(clips: Sequence[Clip]) -> Iterator[LabelMap]:
    for clip in clips:
        places = range(clip.length) if clip.labelled is None else clip.labelled_frames()
        for index in places:
            with suppress(DataError):
                label = clip.label(index)
                if label is not None:
                    yield label


def _line(absent: Sequence[str], counts: np.ndarray, classes: Sequence[str], masks: int) -> str:
    held = [repr(name) for name in classes if name not in absent]
    ignored = counts[IGNORE] / counts.sum()
    remedy = "check that they are class indices in the order of the classes"
    if ignored:
        held.append(f"{IGNORE} (no class: {ignored:.1%} of pixels are not scored)")
        remedy += f"; if {IGNORE} stands for a class, write the class's index in its place"
    return (
        f"no mask holds the class{'es' if absent[1:] else ''} {', '.join(map(repr, absent))}: "
        f"the {masks} masks hold only {' and '.join(held) or 'other values'}; {remedy}"
    )
