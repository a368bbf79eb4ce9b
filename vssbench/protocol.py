"""Protocols: which frame is scored at which distance from its keyframe. A protocol is stored with
every result.

A protocol cuts a clip into episodes: runs of frames that are encoded by themselves, from a keyframe
on. What is encoded by itself matters: under a bit rate, a frame's bits depend on what came before
it in the same stream.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from vssbench.core.errors import ExperimentRefused, UsageError
from vssbench.core.parameters import check_choices
from vssbench.core.variant import format_value, parse_variant
from vssbench.core.video import Clip

#: how mIoU comes of the confusion matrices
MEAN_OF_DISTANCES, POOLED = "mean of mIoU_d", "pooled"
#: the detail of a row that says over what its cost is averaged, where that is no whole GOP
COST, KEYFRAMES_ALONE = "cost", "keyframes alone"
#: the detail of a row that says of how many frames the GOP is that costs are the mean over, where
#: it is not the codec's
PRICED = "frames of a GOP that is priced"


@dataclass(frozen=True)
class Episode:
    """A run of frames that is encoded by itself: ``clip``, which begins at frame ``first`` of the
    clip that it is cut from.

    ``scored`` are the frames of the episode that are scored, None for all that carry labels. Where
    it is given, a method runs on these and on keyframes alone: what lies between is decoded, since
    motion leads through it.
    """

    clip: Clip
    first: int = 0
    scored: frozenset[int] | None = None

    def runs(self, index: int, key: bool) -> bool:
        """Return whether a method runs on that frame of the episode."""
        return key or self.scores(index)

    def scores(self, index: int) -> bool:
        """Return whether that frame of the episode is scored if it carries a label."""
        return self.scored is None or index in self.scored


class Protocol(ABC):
    """Which frames are encoded together, and which of them are scored. Parameters are those of the
    bracket grammar."""

    name: ClassVar[str]
    #: MEAN_OF_DISTANCES or POOLED
    aggregate: ClassVar[str]
    #: whether methods run on every frame of an episode
    continuous: ClassVar[bool] = False

    @abstractmethod
    def details(self) -> dict[str, Any]:
        """Return what must be known to repeat the measurement elsewhere."""

    @abstractmethod
    def episodes(self, clip: Clip, gop: int) -> Iterator[Episode]:
        """Return the episodes of a clip at a GOP length, in order."""

    def remarks(self, clips: Sequence[Clip], gop: int) -> list[str]:
        """Return the remarks beside a result: labels that could not be scored.

        Raises ExperimentRefused where none can be.
        """
        return []


@dataclass(frozen=True)
class Pricing:
    """The GOP over which a row's cost is averaged: ``gop`` frames, 1 where keyframes alone count.

    A GOP is priced as far as it was seen. Where keyframes alone are scored, what a method saves
    between them has no part in its accuracy, and so none in its cost; where clips end before a GOP
    does, so does the GOP that is priced. ``said`` are the words of it for the row, empty where
    whole GOPs are priced; ``mixed`` those of clips that are shorter than the others.
    """

    gop: int
    said: str = ""
    mixed: str = ""

    @property
    def remarks(self) -> list[str]:
        """The remarks of a row, none where whole GOPs are priced and all clips have them."""
        return [text for text in (self.said, self.mixed) if text]

    @property
    def details(self) -> dict[str, Any]:
        """The details that a row has of it beside those of the protocol."""
        if not self.said:
            return {}
        return {COST: KEYFRAMES_ALONE if self.gop == 1 else self.said, PRICED: self.gop}


def pricing(
    scored: Collection[int], ran: Collection[int], gop: int, lengths: Sequence[int] = ()
) -> Pricing:
    """Return the pricing of a row by the distances of the frames that were scored, and of those
    that the method ran on; ``lengths`` are the clips', where these are scored from their first
    frame on."""
    if max(scored) == 0:
        said = (
            "keyframes alone are scored: cost and latency are a keyframe's, and what methods do "
            "between keyframes has no part in either; choose data with labels after a keyframe, "
            "or a GOP that puts them there"
        )
        return Pricing(1, said if gop > 1 else "")
    seen = min(gop, max(ran) + 1)
    short = sum(length < seen for length in lengths)
    mixed = (
        f"{short} of {len(lengths)} clips end before a GOP of {seen} frames does: mIoU at greater "
        "distances is of the others alone, and GMACs a frame are the mean over such GOPs"
    )
    if seen == gop:
        return Pricing(gop, mixed=mixed * bool(short))
    said = (
        f"clips end before a GOP of {gop} does: GMACs a frame are the mean over GOPs of {seen} "
        "frames, the longest that were seen"
    )
    return Pricing(seen, said, mixed * bool(short))


_COMMON = {
    "ignored_label": 255,
    "resize": "logits bilinear to the label's size, align_corners=True; argmax at label resolution",
}


@dataclass(frozen=True)
class Dense(Protocol):
    """A clip is encoded once; every labelled frame is scored at the distance where it falls.

    For clips whose every (or every n-th) frame is labelled. mIoU_d comes from one confusion matrix
    over all frames at distance d; mIoU is the unweighted mean over d (AR-Seg, section 4.1).
    """

    name: ClassVar[str] = "dense"
    aggregate: ClassVar[str] = MEAN_OF_DISTANCES
    continuous: ClassVar[bool] = True

    def details(self) -> dict[str, Any]:
        """See Protocol."""
        return {
            "encoding": "each clip once, from its first frame",
            "scored": "every labelled frame, at its distance to the last keyframe",
            "miou": "unweighted mean of mIoU_d over the distances that hold labelled frames",
            **_COMMON,
        }

    def episodes(self, clip: Clip, gop: int) -> Iterator[Episode]:
        """See Protocol: one."""
        yield Episode(clip)


@dataclass(frozen=True)
class EveryDistance(Protocol):
    """Each labelled frame at every distance 0 .. L-1 from a keyframe, each in an encoding of its
    own (AR-Seg, section 4.1).

    The episode of frame t at distance d begins at t - d. It holds a whole GOP, cut short by the
    clip's end (``until=gop``, AR-Seg's on CamVid), or ends with the labelled frame
    (``until=label``, AR-Seg's on Cityscapes); where the encoder keeps a bit rate, this changes the
    labelled frame's bits. Only frames with L-1 frames before them are scored, so that every
    distance sees the same frames. mIoU is the unweighted mean of mIoU_0 .. mIoU_(L-1). Raises
    UsageError.
    """

    until: Literal["gop", "label"] = "gop"
    name: ClassVar[str] = "every-distance"
    aggregate: ClassVar[str] = MEAN_OF_DISTANCES

    def __post_init__(self) -> None:
        check_choices(type(self), vars(self), self.name)

    def details(self) -> dict[str, Any]:
        """See Protocol."""
        end = (
            "a whole GOP, or up to the clip's end"
            if self.until == "gop"
            else "up to the labelled frame"
        )
        return {
            "encoding": "one for each labelled frame t and each distance d, from frame t - d on: "
            f"{end}",
            "scored": "every labelled frame that has L-1 frames before it, once at each distance 0 "
            ".. L-1",
            "miou": "unweighted mean of mIoU_d over d = 0 .. L-1",
            **_COMMON,
        }

    def episodes(self, clip: Clip, gop: int) -> Iterator[Episode]:
        """See Protocol: L for each labelled frame, in ascending distance."""
        for index in _with_context(clip, gop):
            for distance in range(gop):
                first = index - distance
                length = min(gop, clip.length - first) if self.until == "gop" else distance + 1
                yield Episode(clip.part(first, length), first, frozenset({distance}))

    def remarks(self, clips: Sequence[Clip], gop: int) -> list[str]:
        """See Protocol."""
        return _left_out(self.name, clips, gop)


@dataclass(frozen=True)
class Pairs(Protocol):
    """Each labelled frame i with each of the L pairs (k, i), k = i-L+1 .. i, pooled (DFF, section
    5.1).

    The episode of a pair begins at its keyframe and ends with the labelled frame. mIoU comes from
    one confusion matrix over all pairs, so that every distance weighs the same.
    """

    name: ClassVar[str] = "pairs"
    aggregate: ClassVar[str] = POOLED

    def details(self) -> dict[str, Any]:
        """See Protocol."""
        return {
            "encoding": "one for each pair, from its keyframe to the labelled frame",
            "scored": "every labelled frame that has L-1 frames before it, with each keyframe 0 .. "
            "L-1 frames before it",
            "miou": "of one confusion matrix over all pairs",
            **_COMMON,
        }

    def episodes(self, clip: Clip, gop: int) -> Iterator[Episode]:
        """See Protocol."""
        yield from EveryDistance("label").episodes(clip, gop)

    def remarks(self, clips: Sequence[Clip], gop: int) -> list[str]:
        """See Protocol."""
        return _left_out(self.name, clips, gop)


def _with_context(clip: Clip, gop: int) -> list[int]:
    """Return the labelled frames that have gop - 1 frames before them."""
    return [index for index in clip.labelled_frames() if index >= gop - 1]


def _left_out(name: str, clips: Sequence[Clip], gop: int) -> list[str]:
    labelled = sum(len(clip.labelled_frames()) for clip in clips)
    used = sum(len(_with_context(clip, gop)) for clip in clips)
    if not labelled:
        raise ExperimentRefused(
            f"the protocol {name} scores labelled frames, and this dataset has none: choose one "
            "with labels"
        )
    if not used:
        raise ExperimentRefused(
            f"the protocol {name} needs {gop - 1} frames before a labelled one at a GOP of {gop}, "
            f"and none of the {labelled} labelled frames has them (at most {_deepest(clips)}): use "
            "video that goes further back, a shorter GOP, or --protocol dense"
        )
    if used == labelled:
        return []
    return [
        f"{labelled - used} of {labelled} labelled frames have fewer than {gop - 1} frames before "
        "them and are left out"
    ]


def _deepest(clips: Sequence[Clip]) -> int:
    """Return the number of frames before the labelled frame that has most."""
    return max((index for clip in clips for index in clip.labelled_frames()), default=0)


PROTOCOLS: dict[str, type[Protocol]] = {kind.name: kind for kind in (Dense, EveryDistance, Pairs)}


def protocol(text: str) -> Protocol:
    """Return a protocol as typed, ``NAME`` or ``NAME[key=value]``. Raises UsageError that lists
    what there is."""
    variant = parse_variant(text)
    if variant.name not in PROTOCOLS:
        raise UsageError(f"unknown protocol {variant.name!r}; available: {', '.join(PROTOCOLS)}")
    kind = PROTOCOLS[variant.name]
    known = inspect.signature(kind).parameters
    for key in variant.params:
        if key not in known:
            raise UsageError(
                f"{variant.name} has no parameter {key!r}. Its parameters: "
                f"{', '.join(known) or 'none'}"
            )
    return kind(**{key: format_value(value) for key, value in variant.params.items()})


def typed(chosen: Protocol) -> str:
    """Return the text that :func:`protocol` reads as this one, with what differs from the
    defaults."""
    default = asdict(type(chosen)())  # type: ignore[call-overload]
    changed = [f"{key}={value}" for key, value in asdict(chosen).items() if value != default[key]]  # type: ignore[call-overload]
    return f"{chosen.name}[{','.join(changed)}]" if changed else chosen.name
