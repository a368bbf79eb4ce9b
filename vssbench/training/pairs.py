"""Pairs of a keyframe and a later frame: of real training video, or made of stills by ego-motion,
as the codec shows both."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vssbench.codec.encoded import EncodedCodec
from vssbench.codec.gops import Gop
from vssbench.core import hidden, registry
from vssbench.core.errors import DataError
from vssbench.core.motion import MotionField
from vssbench.core.variant import Variant
from vssbench.core.video import Clip, Image, LabelMap
from vssbench.training.augment import Colour, EgoMotion, Motion, Window
from vssbench.training.samples import (
    Sample,
    Samples,
    Stills,
    image_tensor,
    label_tensor,
    motion_tensor,
)

#: parameters of a codec of which one says its rate
RATES = frozenset({"bitrate", "crf", "qp"})

#: frames from the keyframe to a still where no gaps are given
SOME_FRAMES = (1, 4)


@dataclass(frozen=True)
class Coding:
    """The way in which pairs are coded.

    These are the codecs, taken in turn; ``vectors``: whether the method needs the codec's motion;
    ``original``: whether it sees the frames as they were before coding, with the codec's motion all
    the same (AR-Seg's training does).
    """

    codecs: tuple[Variant, ...]
    vectors: bool = True
    original: bool = False
    stated_rate: bool = False

    def pair(
        self, images: list[Image], codec: Variant, fps: float
    ) -> tuple[Image, Image, Motion | None]:
        """Return the first and the last of consecutive frames, and the motion from the last to the
        first: one GOP, coded now."""
        if self.original and not self.vectors:
            return images[0], images[-1], None
        height, width = images[0].shape[:2]
        clip = Clip(
            "training pair",
            len(images),
            height,
            width,
            fps,
            images.__getitem__,
            lambda index: None,
            "",
        )
        coder = registry.create("codecs", as_gop(codec, len(images)))
        frames = list(coder.frames(clip, motion=self.vectors))
        first, last = (
            (images[0], images[-1]) if self.original else (frames[0].image, frames[-1].image)
        )
        return first, last, dense(frames[-1].motion)


def dense(motion: MotionField | None) -> Motion | None:
    """Return the vector of every pixel (H, W, 2), where there is any motion."""
    return None if motion is None else motion.dense()


@dataclass(frozen=True)
class Pair:
    """A labelled image, a keyframe ``distance`` frames before it, and the motion between them.

    ``motion`` leads from the image to the keyframe, and is None where a method needs none.
    """

    keyframe: Image
    image: Image
    label: LabelMap
    motion: Motion | None
    distance: int

    def seen(self, window: Window, colour: Colour) -> Pair:
        """Return the same window of everything, the images in the same light."""
        first, last = (colour.apply(window.image(item)) for item in (self.keyframe, self.image))
        motion = None if self.motion is None else window.motion(self.motion)
        return Pair(first, last, window.label(self.label), motion, self.distance)

    def sample(self) -> Sample:
        """Return everything as tensors."""
        sample = {
            "image": image_tensor(self.image),
            "label": label_tensor(self.label),
            "keyframe": image_tensor(self.keyframe),
            "distance": torch.tensor(self.distance),
        }
        return sample if self.motion is None else {**sample, "motion": motion_tensor(self.motion)}


class EgoMotionPairs(Samples):
    """Pairs of stills that have no neighbour in time: a random ego-motion gives the earlier frames,
    the codec the motion.

    The frames from the keyframe to the still are encoded at a random quality and decoded again, so
    that pixels and vectors are the codec's own, as AR-Seg meets them. ``gaps`` is the range of
    their number, where 0 repeats the still. Where the coding has a stated rate it is taken in place
    of the random quality.
    """

    def __init__(self, stills: Stills, coding: Coding, gaps: tuple[int, int] = SOME_FRAMES) -> None:
        self.stills, self.coding, self.gaps, self.memory = stills, coding, gaps, stills.memory

    def __len__(self) -> int:
        return len(self.stills)

    def __getitem__(self, position: Any) -> Sample:
        epoch, number = position
        rng = np.random.default_rng([self.stills.seed, epoch, number, 1])
        augmentation = self.stills.augmentation
        image, label = self.stills.still(number)
        window = augmentation.window(image.shape[0], image.shape[1], rng)
        image = Colour.draw(augmentation.jitter, rng).apply(window.image(image))
        images = self._frames(image, rng)
        codec = self.coding.codecs[0]
        chosen = codec if self.coding.stated_rate else at_quality(codec, rng)
        first, last, motion = self.coding.pair(images, chosen, 15.0)
        return Pair(first, last, window.label(label), motion, len(images) - 1).sample()

    def _frames(self, image: Image, rng: np.random.Generator) -> list[Image]:
        low, high = self.gaps
        if high == 0 or (low == 0 and rng.random() < 1 / (high + 1)):
            return [image]
        return EgoMotion.draw(image.shape[0], image.shape[1], rng, (max(low, 1), high)).sequence(
            image
        )


def spelled_out(codec: Variant) -> Variant:
    """Return the codec with the parameters that a name among them stands for, such as a paper's
    encoding, by themselves: so that any of them can be another."""
    cls = registry.load("codecs", codec.name)
    return (
        Variant(codec.name, cls.spelled_out(codec.params))
        if issubclass(cls, EncodedCodec)
        else codec
    )


def as_gop(codec: Variant, frames: int) -> Variant:
    """Return the codec with a GOP of so many frames, whatever its own."""
    return Variant(codec.name, {**spelled_out(codec).params, "gop": frames})


def states_rate(codec: Variant) -> bool:
    """Return whether a codec's variant says at which rate it encodes."""
    return not RATES.isdisjoint(spelled_out(codec).params)


def at_quality(codec: Variant, rng: np.random.Generator) -> Variant:
    """Return the codec at a random quality (``crf``, or ``qp`` where its encoder has no other) in
    place of the rate that it was given.

    A codec that has neither stays as it is.
    """
    cls = registry.load("codecs", codec.name)
    if not issubclass(cls, EncodedCodec) or cls.quality_range is None:
        return codec
    low, high = cls.quality_range
    params = {key: value for key, value in spelled_out(codec).params.items() if key not in RATES}
    return Variant(
        codec.name,
        {**params, "qp" if cls.crf_range is None else "crf": int(rng.integers(low, high + 1))},
    )


class GapPairs(Samples):
    """Pairs (frame i - gap, frame i) of real training video, every labelled frame i once an epoch,
    ``gap`` drawn from a range.

    The frames from the one to the other are coded as a GOP of their own, so that the first is a
    keyframe and the last has its motion to it.
    """

    def __init__(self, stills: Stills, coding: Coding, gaps: tuple[int, int]) -> None:
        self.stills, self.coding, self.gaps, self.memory = stills, coding, gaps, stills.memory
        self.targets = late_frames(stills, gaps[0])

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, position: Any) -> Sample:
        epoch, number = position
        rng = np.random.default_rng([self.stills.seed, epoch, number, 3])
        target = self.targets[number]
        clip, index = self.stills.frames[target]
        gap = int(rng.integers(self.gaps[0], min(self.gaps[1], index) + 1))
        images = [self.stills.image(clip, earlier) for earlier in range(index - gap, index + 1)]
        codec = self.coding.codecs[clip % len(self.coding.codecs)]
        first, last, motion = self.coding.pair(images, codec, self.stills.clips[clip].fps)
        augmentation = self.stills.augmentation
        window = augmentation.window(last.shape[0], last.shape[1], rng)
        colour = Colour.draw(augmentation.jitter, rng)
        return (
            Pair(first, last, self.stills.still(target)[1], motion, gap)
            .seen(window, colour)
            .sample()
        )


def late_frames(stills: Stills, gap: int) -> list[int]:
    """Return numbers of the stills that have a frame ``gap`` frames before them. Raises DataError
    where there is none."""
    targets = [number for number, (_, index) in enumerate(stills.frames) if index >= gap]
    if not targets:
        raise DataError(
            f"no labelled training frame has another one {gap} frames before it: the training "
            "clips are too short for pairs"
        )
    return targets


@dataclass(frozen=True)
class _Pair:
    """A labelled frame and its keyframe, as numbers of a clip, of a GOP of it, and of frames."""

    clip: int
    gop: int
    keyframe: int
    frame: int


@dataclass(frozen=True)
class _Shown:
    """The two images of a pair, and the motion from the second to the first."""

    keyframe: Image
    image: Image
    motion: MotionField | None


class VideoPairs(Samples):
    """Pairs (keyframe, later frame) of real training video, as the codec delivers both; every
    labelled frame once an epoch.

    Clips are encoded once, and their streams lie on disk in pieces of a GOP; a pair that memory
    does not hold is decoded again.
    """

    def __init__(self, stills: Stills, coding: Coding) -> None:
        self.stills, self.coding, self.memory = stills, coding, stills.memory
        self.pairs: list[_Pair] = []
        self._gops: list[list[Gop]] = []
        self._folder = OwnFolder()

    def preload(self) -> Iterator[int]:
        """Encode every clip, with the codecs in turn, and decode it once; yields each clip's
        number."""
        labelled = set(self.stills.frames)
        for number, clip in enumerate(self.stills.clips):
            codec = registry.create("codecs", self.coding.codecs[number % len(self.coding.codecs)])
            self._gops.append(
                codec.gops(clip, self._folder.path / f"{number:06d}", self.coding.vectors)
            )
            for gop in range(len(self._gops[number])):
                for pair, shown in self._decoded(number, gop):
                    place = number, pair.frame
                    if (
                        pair.frame != pair.keyframe
                        and place in labelled
                        and self.stills.label(*place) is not None
                    ):
                        self.pairs.append(pair)
                        self._keep(pair, shown)
            yield number
        if not self.pairs:
            raise DataError(
                "the training clips hold no labelled frame after a keyframe: nothing to make pairs "
                "of"
            )

    def preload_steps(self) -> int:
        return len(self.stills.clips)

    def _decoded(self, clip: int, gop: int) -> Generator[tuple[_Pair, _Shown]]:
        """Yield each frame of a GOP with its keyframe: where they are from, and what the codec
        shows."""
        keyframe, first = 0, None
        with closing(self._gops[clip][gop].frames()) as frames:
            for frame in frames:
                if frame.distance == 0 or first is None:
                    keyframe, first = frame.index, frame.image
                yield (
                    _Pair(clip, gop, keyframe, frame.index),
                    _Shown(first, frame.image, frame.motion),
                )

    def _keep(self, pair: _Pair, shown: _Shown) -> None:
        if self.coding.vectors:
            self.memory.keep(self._key("motion", pair.clip, pair.frame), shown.motion)
        if not self.coding.original:
            self.memory.keep(self._key("coded", pair.clip, pair.keyframe), shown.keyframe)
            self.memory.keep(self._key("coded", pair.clip, pair.frame), shown.image)

    def _key(self, what: str, clip: int, frame: int) -> tuple[str, str, int, int]:
        """Return the name of an entry in memory; another phase, which may code the same clips
        otherwise, has another folder."""
        return str(self._folder.path), what, clip, frame

    def _again(self, pair: _Pair) -> _Shown:
        """Decode anew what the codec shows of a pair, and keep it if it fits."""
        with closing(self._decoded(pair.clip, pair.gop)) as decoded:
            shown = next(shown for drawn, shown in decoded if drawn == pair)
        self._keep(pair, shown)
        return shown

    def _shown(self, pair: _Pair) -> _Shown:
        """Return both images of a pair as the method sees them, and the motion: from memory, or
        made again."""
        clip = pair.clip
        motion_keys = [self._key("motion", clip, pair.frame)] if self.coding.vectors else []
        image_keys = [self._key("coded", clip, index) for index in (pair.keyframe, pair.frame)]
        keys = motion_keys if self.coding.original else [*image_keys, *motion_keys]
        if all(self.memory.has(key) for key in keys):
            kept: Any = {key: self.memory.peek(key) for key in keys}
            motion = kept[motion_keys[0]] if motion_keys else None
            shown = _Shown(kept.get(image_keys[0]), kept.get(image_keys[1]), motion)
        else:
            shown = self._again(pair)
        if self.coding.original:
            before, after = (
                self.stills.image(clip, index) for index in (pair.keyframe, pair.frame)
            )
            return replace(shown, keyframe=before, image=after)
        return shown

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, position: Any) -> Sample:
        epoch, number = position
        rng = np.random.default_rng([self.stills.seed, epoch, number, 2])
        pair, stills, augmentation = self.pairs[number], self.stills, self.stills.augmentation
        shown = self._shown(pair)
        window = augmentation.window(shown.image.shape[0], shown.image.shape[1], rng)
        colour = Colour.draw(augmentation.jitter, rng)
        label = stills.labelled(pair.clip, pair.frame)
        distance = pair.frame - pair.keyframe
        whole = Pair(shown.keyframe, shown.image, label, dense(shown.motion), distance)
        return whole.seen(window, colour).sample()


class OwnFolder:
    """A temporary folder that is removed with this object, by the process that made it alone.

    Processes that load data have copies of the object, whose end must leave the folder to the
    others.
    """

    def __init__(self) -> None:
        self.path, end = hidden.take_temporary()
        self._end = weakref.finalize(self, _remove, end, os.getpid())

    def __reduce__(self) -> tuple[Any, ...]:
        """Return a process that is started afresh gets the path alone."""
        return _Elsewhere, (self.path,)


@dataclass(frozen=True)
class _Elsewhere:
    """A folder of another process, which removes it."""

    path: Path


def _remove(end: Callable[[], None], owner: int) -> None:
    if os.getpid() == owner:
        end()
