"""Samples of training batches: labelled stills, and in which order they are drawn.

A sample is asked for by (epoch, index) and depends on those and the seed alone. Samples are
dictionaries of tensors with the names of :class:`vssbench.core.segmenter.Batch`; pairs are in
:mod:`vssbench.training.pairs`, exact flow in
:mod:`vssbench.training.flow`.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from vssbench.core.errors import DataError, UsageError, VssbenchError
from vssbench.core.segmenter import Batch
from vssbench.core.video import IGNORE, Clip, Image, LabelMap
from vssbench.training.augment import Augmentation, Motion, augment_still
from vssbench.training.memory import Memory, batches_ahead

#: batches that a loading process works ahead where memory allows it
AHEAD = 4

Sample = dict[str, Tensor]


@dataclass(frozen=True)
class Lost:
    """The error of a process that loads data, in the place of its batch: one that PyTorch carries
    over has its traceback in its message."""

    error: Exception


class Samples(TorchDataset[Sample], ABC):
    """A training set: a number of samples, each asked for by (epoch, index). ``memory`` holds what
    it keeps."""

    memory: Memory

    def __getitems__(self, positions: Sequence[Any]) -> list[Sample] | Lost:
        """Return the samples of a batch, as a loader asks for them; Lost where one cannot be
        had."""
        try:
            return [self[position] for position in positions]
        except (VssbenchError, OSError, MemoryError) as error:
            return Lost(error)

    @abstractmethod
    def __len__(self) -> int:
        """Return how many samples an epoch has."""

    @abstractmethod
    def __getitem__(self, position: Any) -> Sample:
        """Return the sample at (epoch, index)."""

    def preload(self) -> Iterator[int]:
        """Work to be done once, a step at a time; loader processes forked later share its
        result."""
        return iter(())

    def preload_steps(self) -> int:
        """Return the number of steps that :meth:`preload` takes."""
        return 0


class Stills(Samples):
    """Every labelled frame of the training clips, augmented by itself."""

    def __init__(
        self,
        clips: Sequence[Clip],
        augmentation: Augmentation,
        seed: int,
        memory: Memory | None = None,
    ) -> None:
        self.clips, self.augmentation, self.seed = clips, augmentation, seed
        self.memory = Memory() if memory is None else memory
        places = (
            range(clip.length) if clip.labelled is None else clip.labelled_frames()
            for clip in clips
        )
        self._choose([(number, index) for number, those in enumerate(places) for index in those])
        self._counts: np.ndarray | None = None

    def _choose(self, frames: list[tuple[int, int]]) -> None:
        """Set the frames to train on. ``frames`` are numbers of a clip and of a frame in it."""
        if not frames:
            raise DataError("the training part of this dataset holds no labelled frame")
        self.frames = frames

    def preload(self) -> Iterator[int]:
        """Count the labels, leave out the frames that have none, and read images while they fit;
        one frame a step."""
        labelled, counts = [], np.zeros(IGNORE + 1, np.int64)
        for number, (clip, index) in enumerate(self.frames):
            label = self.label(clip, index)
            if label is not None:
                labelled.append((clip, index))
                counts += np.bincount(label.ravel(), minlength=IGNORE + 1)
                if self.memory.room > 3 * self.clips[clip].height * self.clips[clip].width:
                    self.image(clip, index)
            yield number
        self._choose(labelled)
        self._counts = counts

    def preload_steps(self) -> int:
        return len(self.frames)

    def augmented_by(self, augmentation: Augmentation) -> Stills:
        """Return the same stills, in the same memory, under another augmentation."""
        other = Stills.__new__(Stills)
        other.__dict__.update(self.__dict__, augmentation=augmentation)
        return other

    def image(self, clip: int, index: int) -> Image:
        """Return a frame by its numbers, labelled or not."""
        return self.memory.get(
            self._key("image", clip, index), partial(self.clips[clip].image, index)
        )

    def label(self, clip: int, index: int) -> LabelMap | None:
        """Return the label of a frame by its numbers, if it has one."""
        return self.memory.get(
            self._key("label", clip, index), partial(self.clips[clip].label, index)
        )

    def _key(self, what: str, clip: int, index: int) -> tuple[str, str, str, int]:
        """Return the name of an entry in memory, which stills of other clips may share."""
        return what, self.clips[clip].name, self.clips[clip].fingerprint, index

    def still(self, number: int) -> tuple[Image, LabelMap]:
        """Return image and label of a frame, before augmentation. Raises DataError where the frame
        has no label."""
        clip, index = self.frames[number]
        return self.image(clip, index), self.labelled(clip, index)

    def labelled(self, clip: int, index: int) -> LabelMap:
        """Return the label of a frame that must have one. Raises DataError where it has none."""
        label = self.label(clip, index)
        if label is None:
            raise DataError(f"training frame {index} of {self.clips[clip].name} has no label")
        return label

    def pixel_counts(self, classes: int) -> np.ndarray:
        """Return labelled pixels of each class over all training frames, int64 (classes,)."""
        counts = self._counts
        if counts is None:
            counts = np.zeros(IGNORE + 1, np.int64)
            for clip, index in self.frames:
                counts += np.bincount(self.labelled(clip, index).ravel(), minlength=IGNORE + 1)
        return counts[:classes]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, position: Any) -> Sample:
        epoch, number = position
        rng = np.random.default_rng([self.seed, epoch, number])
        image, label = augment_still(*self.still(number), self.augmentation, rng)
        return {"image": image_tensor(image), "label": label_tensor(label)}


def image_tensor(image: Image) -> Tensor:
    """Convert an image to uint8 (3, H, W); the loop scales it to [0, 1] on the device."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def label_tensor(label: LabelMap) -> Tensor:
    """Convert a label to int64 (H, W)."""
    return torch.from_numpy(np.array(label, np.uint8))


def motion_tensor(motion: Motion) -> Tensor:
    """Convert a field to float32 (2, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(motion, np.float32)).permute(2, 0, 1)


class BatchSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index): the epoch that a pass begins with, the images of each batch of a
    step over all processes."""

    epoch: int
    sizes: Sequence[int]
    processes: int


class EpochSampler(BatchSampler):
    """Batches of (epoch, index) in an order drawn from the seed and the epoch.

    A pass goes through ``epochs`` epochs from ``epoch`` on, without a pause between them; both are
    set before it.

    A step of training takes ``accumulate`` batches of ``batch`` samples one after the other, each
    spread over ``processes``, of which this is number ``rank``: the samples of a step are those of
    one batch ``accumulate`` times as large on one process. Raises UsageError where a batch cannot
    be spread evenly.
    """

    def __init__(
        self, length: int, batch: int, seed: int, limit: int | None = None, accumulate: int = 1,
        rank: int = 0, processes: int = 1,
    ) -> None:  # fmt: skip
        self.length, self.batch, self.seed, self.epoch, self.epochs = length, batch, seed, 0, 1
        self.rank, self.processes = rank, processes
        self.count = min(length, limit or length)
        #: samples of one step
        self.group = min(self.count, batch * accumulate)
        #: steps of an epoch; what is left over is not used that time
        self.steps = self.count // self.group
        #: samples of each batch of a step, over all processes
        self.sizes = [min(batch, self.group - first) for first in range(0, self.group, batch)]
        uneven = [size for size in self.sizes if size % processes]
        if uneven:
            raise UsageError(
                f"a batch of {uneven[0]} images cannot be spread evenly over {processes} "
                f"processes: choose a --batch that is a multiple of {processes} (the training set "
                f"has {self.count} samples)"
            )

    def __len__(self) -> int:
        """Return how many batches this process has in an epoch."""
        return self.steps * len(self.sizes)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch in range(self.epoch, self.epoch + self.epochs):
            yield from self._of_epoch(epoch)

    def _of_epoch(self, epoch: int) -> Iterator[list[tuple[int, int]]]:
        order = (
            np.random.default_rng([self.seed, epoch])
            .permutation(self.length)[: self.count]
            .tolist()
        )
        for step in range(self.steps):
            first = step * self.group
            for size in self.sizes:
                share = size // self.processes
                begin = first + self.rank * share
                yield [(epoch, number) for number in order[begin : begin + share]]
                first += size


def loader(samples: Samples, sampler: BatchSampler, workers: int, pin: bool) -> Iterator[Sample]:
    """Return batches as they are loaded; one thread a worker, since the cores are the network's.

    Workers are forked where the system can, so that they share what is kept in memory; elsewhere
    each has its part of it. Raises UsageError where the batches that wait would not fit.
    """
    size = sum(value.nbytes for value in samples[sampler.epoch, 0].values())
    batch = size * max(sampler.sizes) // sampler.processes
    ahead = batches_ahead(samples.memory, batch, workers, len(sampler.sizes), AHEAD)
    fork = sys.platform == "linux"
    if workers and not fork:
        samples.memory.clear()
    samples.memory.lent = workers > 0
    batches: DataLoader[Sample] = DataLoader(
        samples,
        batch_sampler=sampler,
        num_workers=workers,
        pin_memory=pin,
        collate_fn=_collated,
        prefetch_factor=ahead if workers else None,
        multiprocessing_context="fork" if workers and fork else None,
        worker_init_fn=_start_worker,
    )
    return map(_arrived, batches)


def _collated(samples: Sequence[Sample] | Lost) -> Sample | Lost:
    return samples if isinstance(samples, Lost) else joined(samples)


def _arrived(batch: Sample | Lost) -> Sample:
    """Return a batch. Raises what was raised where it was loaded."""
    if isinstance(batch, Lost):
        raise batch.error
    return batch


def joined(samples: Sequence[Sample]) -> Sample:
    """Return a batch of samples. Images stay channels-last in memory, which is what the network
    takes."""
    batch = {}
    for name in samples[0]:
        values = [sample[name] for sample in samples]
        if name in ("image", "keyframe"):
            batch[name] = torch.stack([value.permute(1, 2, 0) for value in values]).permute(
                0, 3, 1, 2
            )
        else:
            batch[name] = torch.stack(values)
    return batch


def batch_of(sample: Sample, device: str, class_weights: Tensor) -> Batch:
    """Return joined samples as the batch that a loss takes, on ``device``.

    Images become float32 in [0, 1], channels-last; labels int64.
    """
    moved = {key: value.to(device, non_blocking=True) for key, value in sample.items()}
    images = {
        key: moved[key].float().div_(255).contiguous(memory_format=torch.channels_last)
        for key in ("image", "keyframe")
        if key in moved
    }
    extra = {key: moved.get(key) for key in ("motion", "flow", "distance")}
    label = moved["label"].long()
    return Batch(images["image"], label, class_weights, images.get("keyframe"), **extra)


def _start_worker(worker: int) -> None:
    torch.set_num_threads(1)
    info = get_worker_info()
    if info is not None and isinstance(info.dataset, Samples):
        info.dataset.memory.divide(info.num_workers)
