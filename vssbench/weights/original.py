"""Original: one network as its authors' code publishes it, and how its checkpoint's entries map
onto our names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vssbench.core.segmenter import IMAGENET_MEAN, IMAGENET_STD
from vssbench.core.variant import Value

#: the entries of a checkpoint by their original names
State = Mapping[str, Tensor]

#: entries that no network needs at inference, whatever the original: regular expression, reason
ALWAYS_UNUSED = (
    (r"num_batches_tracked$", "a counter of training steps that inference does not use"),
)


def image_logits(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs of an original that returns its logits alone, at the image's size."""
    return [model.net(inputs[0])[0]]


@dataclass(frozen=True)
class Original:
    """A network of a public repository, as a checkpoint of it is recognised and read.

    ``method`` is our plug-in; ``marks`` are names that together only this network's checkpoint has;
    ``parameters`` reads the plug-in's parameters off names and shapes; ``classifier`` is the entry
    whose first dimension is the number of classes (None: a file without classes, such as an
    ImageNet backbone). ``rules`` are applied to an entry's name in order, each a regular expression
    and its replacement; the result is the full name in our ``state_dict``. ``unused`` lists entries
    left out, with the reason. ``classes``, where given, must be the checkpoint's; ``role`` tells
    apart the files that make up one method (AR-Seg's HR and AR). ``mean`` and ``std`` normalise an
    RGB image in [0, 1] as the authors do. ``outputs`` gives what the original's forward pass
    returns, in its order and at its sizes, for its own inputs (normalised images).
    """

    name: str
    source: str
    method: str
    marks: tuple[str, ...]
    classifier: str | None
    rules: tuple[tuple[str, str], ...]
    outputs: Callable[[Any, Sequence[Tensor]], list[Tensor]]
    parameters: Callable[[State], dict[str, Value]] = field(default=lambda state: {})
    unused: tuple[tuple[str, str], ...] = ()
    absent: tuple[str, ...] = ()
    classes: int | None = None
    role: str = ""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def recognises(self, state: State) -> bool:
        """Return whether the checkpoint holds every mark, and no name in ``absent``.

        These names tell it from a relative.
        """
        if any(mark not in state for mark in self.marks) or any(
            name in state for name in self.absent
        ):
            return False
        return self.classes is None or self.count_classes(state) == self.classes

    def count_classes(self, state: State) -> int | None:
        """Return the number of classes of a checkpoint that holds the marks; None where it has no
        classifier."""
        return None if self.classifier is None else int(state[self.classifier].shape[0])

    def reason_unused(self, name: str) -> str | None:
        """Tell why an entry is left out; None where it is to be used."""
        for pattern, reason in (*ALWAYS_UNUSED, *self.unused):
            if re.search(pattern, name):
                return reason
        return None

    def rename(self, name: str) -> str:
        """Return an entry's name in our ``state_dict``."""
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return name
