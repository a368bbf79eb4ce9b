"""What a training batch is drawn from: labelled stills, pairs of real video, pairs made of stills by ego-motion.

A sample is asked for by (epoch, index) and depends on those and the seed alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from vssbench import registry
from vssbench.codec.motion import MotionField
from vssbench.errors import DataError
from vssbench.training.augment import Augmentation, Colour, EgoMotion, augment_still
from vssbench.variant import Variant
from vssbench.video import IGNORE, Clip, Image, LabelMap

#: stills are kept in memory up to this many bytes; beyond, they are read each time
CACHE_BYTES = 3 * 2**30

Sample = dict[str, Tensor]


class Stills(TorchDataset[Sample]):
    """Every labelled frame of the training clips, augmented by itself."""

    def __init__(self, clips: Sequence[Clip], augmentation: Augmentation, seed: int) -> None:
        self.augmentation, self.seed = augmentation, seed
        self.frames = [(clip, index) for clip in clips for index in range(clip.length)]
        if not self.frames:
            raise DataError("the training part of this dataset holds no frame")
        per_frame = clips[0].height * clips[0].width * 4
        self._cached = len(self.frames) * per_frame <= CACHE_BYTES
        self._cache: dict[int, tuple[Image, LabelMap]] = {}

    def preload(self) -> Iterator[int]:
        """Read everything into memory where it fits, one frame a step; loader processes forked later share it."""
        for number in range(len(self.frames)):
            self.still(number)
            yield number

    def still(self, number: int) -> tuple[Image, LabelMap]:
        """Image and label of a frame, before augmentation. Raises DataError where the frame has no label."""
        if number in self._cache:
            return self._cache[number]
        clip, index = self.frames[number]
        label = clip.label(index)
        if label is None:
            raise DataError(f"training frame {index} of {clip.name} has no label")
        pair = clip.image(index), label
        if self._cached:
            self._cache[number] = pair
        return pair

    def pixel_counts(self, classes: int) -> np.ndarray:
        """Labelled pixels of each class over all training frames, int64 (classes,)."""
        counts = np.zeros(IGNORE + 1, np.int64)
        for number in range(len(self.frames)):
            counts += np.bincount(self.still(number)[1].ravel(), minlength=IGNORE + 1)
        return counts[:classes]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, position: Any) -> Sample:
        epoch, number = position
        rng = np.random.default_rng([self.seed, epoch, number])
        image, label = augment_still(*self.still(number), self.augmentation, rng)
        return {"image": _image_tensor(image), "label": torch.from_numpy(label.astype(np.int64))}


class EgoMotionPairs(TorchDataset[Sample]):
    """Pairs of stills that have no neighbour in time: a random ego-motion gives the earlier frames, the codec the motion.

    The frames from the keyframe to the still are encoded at a random quantiser and decoded again, so that pixels and vectors
    are the codec's own, as AR-Seg meets them.
    """

    QUANTISERS = (18, 40)

    def __init__(self, stills: Stills, codec: Variant) -> None:
        self.stills, self.codec = stills, codec

    def __len__(self) -> int:
        return len(self.stills)

    def __getitem__(self, position: Any) -> Sample:
        epoch, number = position
        rng = np.random.default_rng([self.stills.seed, epoch, number, 1])
        augmentation = self.stills.augmentation
        image, label = self.stills.still(number)
        window = augmentation.window(image.shape[0], image.shape[1], rng)
        image = Colour.draw(augmentation.jitter, rng).apply(window.image(image))
        motion = EgoMotion.draw(image.shape[0], image.shape[1], rng)
        quantiser = int(rng.integers(self.QUANTISERS[0], self.QUANTISERS[1] + 1))
        first, last = self._coded(motion.sequence(image), quantiser)
        return _pair(first[0], last[0], window.label(label), last[1])

    def _coded(self, images: list[Image], quantiser: int) -> list[tuple[Image, np.ndarray]]:
        """Decoded image and dense motion of the first and the last frame."""
        params = {key: value for key, value in self.codec.params.items() if key != "bitrate"}
        codec = registry.create("codecs", Variant(self.codec.name, {**params, "gop": len(images), "crf": quantiser}))
        fingerprint = hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest()
        height, width = images[0].shape[:2]
        clip = Clip("ego-motion", len(images), height, width, 15.0, images.__getitem__, lambda index: None, fingerprint)
        frames = list(codec.frames(clip))
        return [(frame.image, frame.motion.dense()) for frame in (frames[0], frames[-1])]


@dataclass(frozen=True)
class _CodedFrame:
    image: Image
    motion: MotionField
    label: LabelMap | None
    keyframe: int


class VideoPairs(TorchDataset[Sample]):
    """Pairs (keyframe, later frame) of real training video, as the codec delivers both; every labelled frame once an epoch."""

    def __init__(self, clips: Sequence[Clip], codecs: Sequence[Variant], augmentation: Augmentation, seed: int) -> None:
        self.clips, self.codecs, self.augmentation, self.seed = clips, codecs, augmentation, seed
        self.frames: list[_CodedFrame] = []
        self.targets: list[int] = []

    def preload(self) -> Iterator[int]:
        """Encode and decode every clip once, with the codecs in turn; yields each clip's number."""
        for number, clip in enumerate(self.clips):
            codec = registry.create("codecs", self.codecs[number % len(self.codecs)])
            keyframe = len(self.frames)
            for frame in codec.frames(clip):
                if frame.distance == 0:
                    keyframe = len(self.frames)
                label = clip.label(frame.index)
                if label is not None and frame.distance > 0:
                    self.targets.append(len(self.frames))
                self.frames.append(_CodedFrame(frame.image, frame.motion, label, keyframe))
            yield number
        if not self.targets:
            raise DataError("the training clips hold no labelled frame after a keyframe: nothing to make pairs of")

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, position: Any) -> Sample:
        epoch, number = position
        rng = np.random.default_rng([self.seed, epoch, number, 2])
        frame = self.frames[self.targets[number]]
        assert frame.label is not None
        window = self.augmentation.window(frame.image.shape[0], frame.image.shape[1], rng)
        colour = Colour.draw(self.augmentation.jitter, rng)
        first, last = (colour.apply(window.image(i)) for i in (self.frames[frame.keyframe].image, frame.image))
        return _pair(first, last, window.label(frame.label), window.motion(frame.motion.dense()))


def _pair(keyframe: Image, image: Image, label: LabelMap, motion: np.ndarray) -> Sample:
    return {
        "image": _image_tensor(image),
        "label": torch.from_numpy(label.astype(np.int64)),
        "keyframe": _image_tensor(keyframe),
        "motion": torch.from_numpy(np.ascontiguousarray(motion, np.float32)).permute(2, 0, 1),
    }


def _image_tensor(image: Image) -> Tensor:
    """uint8 (3, H, W); the loop scales it to [0, 1] on the device."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) in an order drawn from the seed and the epoch. ``epoch`` is set before each pass."""

    def __init__(self, length: int, batch: int, seed: int, limit: int | None = None) -> None:
        self.length, self.batch, self.seed, self.epoch = length, batch, seed, 0
        self.count = min(length, limit or length)

    def __len__(self) -> int:
        return max(1, self.count // self.batch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)[: self.count].tolist()
        for step in range(len(self)):
            yield [(self.epoch, number) for number in order[step * self.batch : (step + 1) * self.batch]]


def loader(samples: TorchDataset[Sample], sampler: EpochSampler, workers: int, pin: bool) -> DataLoader[Sample]:
    """A loader of batches; one thread a worker, since the cores are the network's."""
    return DataLoader(
        samples,
        batch_sampler=sampler,
        num_workers=workers,
        pin_memory=pin,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread,
    )


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
