"""Pairs of a keyframe and a later frame: of real training video, or made of stills by ego-motion, as the codec shows both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vssbench import registry
from vssbench.codec.encoded import EncodedCodec
from vssbench.codec.motion import MotionField
from vssbench.errors import DataError
from vssbench.training.augment import Augmentation, Colour, EgoMotion, Motion, Window
from vssbench.training.samples import Sample, Samples, Stills, image_tensor, label_tensor, motion_tensor
from vssbench.variant import Variant
from vssbench.video import Clip, Image, LabelMap

#: parameters of a codec of which one says its rate
RATES = ("bitrate", "crf", "qp")


@dataclass(frozen=True)
class Coding:
    """How pairs are coded: the codecs, taken in turn; ``vectors``: whether the method needs the codec's motion; ``original``:
    whether it sees the frames as they were before coding, with the codec's motion all the same (AR-Seg's training does)."""

    codecs: tuple[Variant, ...]
    vectors: bool = True
    original: bool = False

    def pair(self, images: list[Image], codec: Variant, fps: float) -> tuple[Image, Image, Motion | None]:
        """The first and the last of consecutive frames, and the motion from the last to the first: one GOP, coded now."""
        if self.original and not self.vectors:
            return images[0], images[-1], None
        height, width = images[0].shape[:2]
        clip = Clip("training pair", len(images), height, width, fps, images.__getitem__, lambda index: None, "")
        coder = registry.create("codecs", Variant(codec.name, {**codec.params, "gop": len(images)}))
        frames = list(coder.frames(clip, motion=self.vectors))
        first, last = (images[0], images[-1]) if self.original else (frames[0].image, frames[-1].image)
        return first, last, dense(frames[-1].motion)


def dense(motion: MotionField | None) -> Motion | None:
    """The vector of every pixel (H, W, 2), where there is any motion."""
    return None if motion is None else motion.dense()


def pair_sample(keyframe: Image, image: Image, label: LabelMap, motion: Motion | None) -> Sample:
    """Keyframe, image, label and, where there is any, motion, as tensors."""
    sample = {"image": image_tensor(image), "label": label_tensor(label), "keyframe": image_tensor(keyframe)}
    return sample if motion is None else {**sample, "motion": motion_tensor(motion)}


def window_sample(
    keyframe: Image, image: Image, label: LabelMap, motion: Motion | None, window: Window, colour: Colour
) -> Sample:
    """The same window of all four, the images in the same light."""
    first, last = (colour.apply(window.image(item)) for item in (keyframe, image))
    return pair_sample(first, last, window.label(label), None if motion is None else window.motion(motion))


class EgoMotionPairs(Samples):
    """Pairs of stills that have no neighbour in time: a random ego-motion gives the earlier frames, the codec the motion.

    The frames from the keyframe to the still are encoded at a random quality and decoded again, so that pixels and vectors
    are the codec's own, as AR-Seg meets them. ``gaps`` is the range of their number, where 0 repeats the still.
    """

    def __init__(self, stills: Stills, coding: Coding, gaps: tuple[int, int] = (1, 4)) -> None:
        self.stills, self.coding, self.gaps = stills, coding, gaps

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
        first, last, motion = self.coding.pair(images, at_quality(self.coding.codecs[0], rng), 15.0)
        return pair_sample(first, last, window.label(label), motion)

    def _frames(self, image: Image, rng: np.random.Generator) -> list[Image]:
        low, high = self.gaps
        if high == 0 or (low == 0 and rng.random() < 1 / (high + 1)):
            return [image]
        return EgoMotion.draw(image.shape[0], image.shape[1], rng, (max(low, 1), high)).sequence(image)


def at_quality(codec: Variant, rng: np.random.Generator) -> Variant:
    """The codec at a random quality (``crf``, or ``qp`` where its encoder has no other) in place of the rate that it was given.

    A codec that has neither stays as it is.
    """
    cls = registry.load("codecs", codec.name)
    if not issubclass(cls, EncodedCodec) or cls.quality_range is None:
        return codec
    low, high = cls.quality_range
    params = {key: value for key, value in codec.params.items() if key not in RATES}
    return Variant(codec.name, {**params, "qp" if cls.crf_range is None else "crf": int(rng.integers(low, high + 1))})


class GapPairs(Samples):
    """Pairs (frame i - gap, frame i) of real training video, every labelled frame i once an epoch, ``gap`` drawn from a range.

    The frames from the one to the other are coded as a GOP of their own, so that the first is a keyframe and the last has
    its motion to it.
    """

    def __init__(self, stills: Stills, coding: Coding, gaps: tuple[int, int]) -> None:
        self.stills, self.coding, self.gaps = stills, coding, gaps
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
        return window_sample(first, last, self.stills.still(target)[1], motion, window, colour)


def late_frames(stills: Stills, gap: int) -> list[int]:
    """Numbers of the stills that have a frame ``gap`` frames before them. Raises DataError where there is none."""
    targets = [number for number, (_, index) in enumerate(stills.frames) if index >= gap]
    if not targets:
        raise DataError(
            f"no labelled training frame has another one {gap} frames before it: the training clips are too short for pairs"
        )
    return targets


@dataclass(frozen=True)
class _CodedFrame:
    image: Image
    motion: MotionField | None
    label: LabelMap | None
    keyframe: int


class VideoPairs(Samples):
    """Pairs (keyframe, later frame) of real training video, as the codec delivers both; every labelled frame once an epoch."""

    def __init__(self, clips: Sequence[Clip], coding: Coding, augmentation: Augmentation, seed: int) -> None:
        self.clips, self.coding, self.augmentation, self.seed = clips, coding, augmentation, seed
        self.frames: list[_CodedFrame] = []
        self.targets: list[int] = []

    def preload(self) -> Iterator[int]:
        """Encode and decode every clip once, with the codecs in turn; yields each clip's number."""
        for number, clip in enumerate(self.clips):
            codec = registry.create("codecs", self.coding.codecs[number % len(self.coding.codecs)])
            keyframe = len(self.frames)
            for frame in codec.frames(clip, motion=self.coding.vectors):
                if frame.distance == 0:
                    keyframe = len(self.frames)
                label = clip.label(frame.index)
                if label is not None and frame.distance > 0:
                    self.targets.append(len(self.frames))
                image = clip.image(frame.index) if self.coding.original else frame.image
                # the field alone: its blocks would lie in memory for all of the training
                motion = None if frame.motion is None else replace(frame.motion, blocks=None, step=None)
                self.frames.append(_CodedFrame(image, motion, label, keyframe))
            yield number
        if not self.targets:
            raise DataError("the training clips hold no labelled frame after a keyframe: nothing to make pairs of")

    def preload_steps(self) -> int:
        return len(self.clips)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, position: Any) -> Sample:
        epoch, number = position
        rng = np.random.default_rng([self.seed, epoch, number, 2])
        frame = self.frames[self.targets[number]]
        assert frame.label is not None
        window = self.augmentation.window(frame.image.shape[0], frame.image.shape[1], rng)
        colour = Colour.draw(self.augmentation.jitter, rng)
        keyframe = self.frames[frame.keyframe].image
        return window_sample(keyframe, frame.image, frame.label, dense(frame.motion), window, colour)
