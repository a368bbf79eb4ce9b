"""Protocols: which frame is scored at which distance from its keyframe. A protocol is stored with every result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vssbench.codec.spec import Codec
from vssbench.errors import UsageError
from vssbench.video import Clip, Frame


@dataclass(frozen=True)
class Dense:
    """A clip is encoded once; every labelled frame is scored at the distance where it falls.

    For clips whose every (or every n-th) frame is labelled. mIoU_d comes from one confusion matrix over all frames at
    distance d; mIoU is the unweighted mean over d (AR-Seg, section 4.1).
    """

    name: str = "dense"

    def details(self) -> dict[str, Any]:
        """What must be known to repeat the measurement elsewhere."""
        return {
            "encoding": "each clip once, from its first frame",
            "scored": "every labelled frame, at its distance to the last keyframe",
            "miou": "unweighted mean of mIoU_d over the distances that hold labelled frames",
            "ignored_label": 255,
            "resize": "logits bilinear to the label's size, align_corners=True; argmax at label resolution",
        }

    def frames(self, clip: Clip, codec: Codec, **options: Any) -> Iterator[tuple[Frame, bool]]:
        """Every frame of the clip in order, and whether it is scored if it carries a label."""
        for frame in codec.frames(clip, **options):
            yield frame, True


PROTOCOLS = {"dense": Dense}


def protocol(name: str) -> Dense:
    """A protocol by name. Raises UsageError that lists what there is."""
    if name not in PROTOCOLS:
        raise UsageError(f"unknown protocol {name!r}; available: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]()
