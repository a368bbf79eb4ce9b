"""The outputs of a network as the classes of a dataset: what becomes of an output of no class
(Void), and of classes that are not scored.

Many published networks have one output more than the classes that are scored: CamVid's Void. Where
that output is the largest, the pixel is an error, as in the evaluation of Cityscapes,
mmsegmentation and torchmetrics, which count what is predicted as no class among the misses; or it
is masked, so that the largest of the others counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from vssbench.core.classes import beyond, numbers_of
from vssbench.core.errors import UsageError
from vssbench.core.segmenter import VideoSegmenter

Void = Literal["error", "masked"]
VOID: Void = "error"


@dataclass(frozen=True)
class Outputs:
    """The way from the outputs of a network to predictions.

    ``classes`` is the number that the network is built for; ``places`` the value in a prediction of
    each of its outputs, empty where it is the output's own number; ``masked`` are outputs that are
    never predicted; ``values`` counts the values of predictions, one more than the dataset's
    classes where an output of no class is an error. ``void`` is the rule, empty where there is
    nothing that it applies to.
    """

    classes: int
    values: int
    places: tuple[int, ...] = ()
    masked: tuple[int, ...] = ()
    void: Void | Literal[""] = ""

    def prepare(self, model: VideoSegmenter) -> None:
        """Let a method give its logits by the rule, and those that its later frames are made of."""
        model.keeps_void, model.masked = self.values > self.classes, self.masked

    def predicted(self, logits: Tensor) -> Tensor:
        """Return the value of each pixel, int64 (H, W), of logits (outputs, H, W)."""
        largest = logits.argmax(0)
        if not self.places:
            return largest
        return torch.tensor(self.places, device=logits.device)[largest]


def outputs_of(
    own: Sequence[str],
    asked: Sequence[str],
    declared: bool,
    without: Sequence[str] = (),
    void: Void = VOID,
) -> Outputs:
    """Return how a network with the classes ``own`` predicts the dataset's, ``asked``.

    ``declared`` says that the method itself has an output beside its classes; ``without`` names
    classes that are not scored, of the dataset or of the network alone.
    """
    if void not in get_args(Void):
        raise UsageError(f"void={void!r} is unknown: expected {' or '.join(get_args(Void))}")
    unscored, count = numbers_of(without, asked), len(asked)
    extra = [] if declared else beyond(own, asked, without)
    masked = void == "masked"
    if not extra:
        more = int(declared and not masked)
        # a class that is left out is an error where it is predicted, as when a table leaves it out
        rule: Void | Literal[""] = void if declared or (unscored and masked) else ""
        return Outputs(count, count + more, (), tuple(unscored) if masked else (), rule)
    kept = [number for number in range(len(own)) if number not in extra]
    places = [kept.index(number) if number in kept else count for number in range(len(own))]
    if masked:
        places = [min(place, count - 1) for place in places]
        hidden = (*extra, *(kept[number] for number in unscored))
        return Outputs(len(own), count, tuple(places), hidden, void)
    return Outputs(len(own), count + 1, tuple(places), (), void)
