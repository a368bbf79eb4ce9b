"""The training part of a dataset divided: what is trained on, and what is held out to choose by.

Held-out clips come from the training part alone. Nothing that methods are scored on is among them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from vssbench.core.shown import encoded
from vssbench.core.video import Clip

#: a frame may be in neither part: too near in time to a held-out one to be trained on
Part = Literal["training", "validation", "neither"]

#: share of the clips that is held out where a dataset names none
SHARE = 0.1
#: stills from which on those beside the held-out block are left out of training
_ROOM_FOR_A_GAP = 20
#: held-out clips up to which a record lists their names
_LISTED = 64
#: digests of pictures that a record holds of a part; of more, the smallest ones
MOST_MARKS = 5000


@dataclass(frozen=True)
class Division:
    """Clips to train on and clips held out of training; ``rule`` says in words how they were
    chosen.

    ``validation`` is empty where nothing can be held out.
    """

    training: Sequence[Clip]
    validation: Sequence[Clip]
    rule: str

    def record(self) -> dict[str, Any]:
        """Return the division as a weight file's record states it: the rule, and each part by
        name."""
        parts = {"training": self.training, "validation": self.validation}
        return {"rule": self.rule, **{name: _described(clips) for name, clips in parts.items()}}

    @cached_property
    def pictures(self) -> dict[str, dict[str, Any]]:
        """The labelled pictures of each part as a weight file's record states them: how many, and
        one after the other their digests, by which it is known later whether a picture was among
        them. Every one of them is read, once."""
        parts = {"training": self.training, "validation": self.validation}
        return {name: _pictures(clips) for name, clips in parts.items()}


def _pictures(clips: Sequence[Clip]) -> dict[str, Any]:
    marks = sorted({mark for clip in clips for mark in clip.marks()})
    return {"frames": len(marks), "digests": "".join(marks[:MOST_MARKS])}


def _described(clips: Sequence[Clip]) -> dict[str, Any]:
    """Return the number of clips, a digest of their names and, of a few, the names themselves."""
    names = [clip.name for clip in clips]
    described = {
        "clips": len(names),
        "sha256": hashlib.sha256(encoded("\n".join(names))).hexdigest(),
    }
    return {**described, "names": names} if len(names) <= _LISTED else described


def undivided(clips: Sequence[Clip]) -> Division:
    """Return everything to train on, nothing held out."""
    return Division(clips, (), "nothing held out")


def divided_by_name(clips: Sequence[Clip]) -> Division:
    """Return a tenth of the clips held out: of videos, whole ones by the hash of their names; of
    stills, neighbours.

    A single clip stays whole: its frames are too alike to choose by.
    """
    labelled = [place for place, clip in enumerate(clips) if clip.labelled is None or clip.labelled]
    if len(labelled) < 2:
        return undivided(clips)
    count = max(1, round(SHARE * len(labelled)))
    if all(clip.length == 1 for clip in clips):
        first = int(_digest("\n".join(clips[place].name for place in labelled)), 16) % (
            len(labelled) - count + 1
        )
        gap = 1 if len(labelled) >= _ROOM_FOR_A_GAP else 0
        held = set(labelled[first : first + count])
        near = set(labelled[max(0, first - gap) : first + count + gap]) - held
        rule = "a tenth of the stills, neighbours in the list from a place by the hash of the names"
    else:
        held, near = (
            set(sorted(labelled, key=lambda place: _digest(clips[place].name))[:count]),
            set(),
        )
        rule = "a tenth of the clips, whole, by the hash of their names"
    return Division(
        [clip for place, clip in enumerate(clips) if place not in held | near],
        [clip for place, clip in enumerate(clips) if place in held],
        rule,
    )


def divided_by(clips: Sequence[Clip], part: Callable[[Clip], Part], rule: str) -> Division:
    """Return the clips divided by a dataset's own rule; by name where the rule would leave a part
    empty."""
    parts = {
        name: [clip for clip in clips if part(clip) == name] for name in ("training", "validation")
    }
    if not parts["training"] or not parts["validation"]:
        return divided_by_name(clips)
    return Division(parts["training"], parts["validation"], rule)


def _digest(text: str) -> str:
    return hashlib.sha256(encoded(text)).hexdigest()
