"""What training batches are drawn from: labelled stills, and in which order.

A sample is asked for by (epoch, index) and depends on those and the seed alone. Samples are dictionaries of tensors with
the names of :class:`vssbench.segmenter.Batch`; pairs are in :mod:`vssbench.training.pairs`, exact flow in
:mod:`vssbench.training.flow`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from vssbench.errors import DataError, UsageError
from vssbench.training.augment import Augmentation, Motion, augment_still
from vssbench.video import IGNORE, Clip, Image, LabelMap

#: stills are kept in memory up to this many bytes; beyond, they are read each time
CACHE_BYTES = 3 * 2**30

Sample = dict[str, Tensor]


class Samples(TorchDataset[Sample], ABC):
    """A training set: a number of samples, each asked for by (epoch, index)."""

    @abstractmethod
    def __len__(self) -> int:
        """How many samples an epoch has."""

    @abstractmethod
    def __getitem__(self, position: Any) -> Sample:
        """The sample at (epoch, index)."""

    def preload(self) -> Iterator[int]:
        """Work to be done once, a step at a time; loader processes forked later share its result."""
        return iter(())

    def preload_steps(self) -> int:
        """How many steps :meth:`preload` takes."""
        return 0


class Stills(Samples):
    """Every labelled frame of the training clips, augmented by itself."""

    def __init__(self, clips: Sequence[Clip], augmentation: Augmentation, seed: int) -> None:
        self.clips, self.augmentation, self.seed = clips, augmentation, seed
        places = (range(clip.length) if clip.labelled is None else clip.labelled_frames() for clip in clips)
        self._choose([(number, index) for number, those in enumerate(places) for index in those])
        per_frame = clips[0].height * clips[0].width * 4
        self._cached = len(self.frames) * per_frame <= CACHE_BYTES
        self._cache: dict[tuple[int, int], tuple[Image, LabelMap | None]] = {}

    def _choose(self, frames: list[tuple[int, int]]) -> None:
        """``frames`` are numbers of a clip and of a frame in it."""
        if not frames:
            raise DataError("the training part of this dataset holds no labelled frame")
        self.frames = frames

    def preload(self) -> Iterator[int]:
        """Read everything into memory where it fits, one frame a step, and leave out the frames that have no label."""
        labelled = []
        for number, (clip, index) in enumerate(self.frames):
            if self._read(clip, index)[1] is not None:
                labelled.append((clip, index))
            yield number
        self._choose(labelled)

    def preload_steps(self) -> int:
        return len(self.frames)

    def augmented_by(self, augmentation: Augmentation) -> Stills:
        """The same stills, in the same memory, under another augmentation."""
        other = Stills.__new__(Stills)
        other.__dict__.update(self.__dict__, augmentation=augmentation)
        return other

    def _read(self, clip: int, index: int) -> tuple[Image, LabelMap | None]:
        if (clip, index) in self._cache:
            return self._cache[clip, index]
        read = self.clips[clip].image(index), self.clips[clip].label(index)
        if self._cached:
            self._cache[clip, index] = read
        return read

    def image(self, clip: int, index: int) -> Image:
        """A frame by its numbers, labelled or not."""
        return self._read(clip, index)[0]

    def still(self, number: int) -> tuple[Image, LabelMap]:
        """Image and label of a frame, before augmentation. Raises DataError where the frame has no label."""
        clip, index = self.frames[number]
        image, label = self._read(clip, index)
        if label is None:
            raise DataError(f"training frame {index} of {self.clips[clip].name} has no label")
        return image, label

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
        return {"image": image_tensor(image), "label": label_tensor(label)}


def image_tensor(image: Image) -> Tensor:
    """uint8 (3, H, W); the loop scales it to [0, 1] on the device."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def label_tensor(label: LabelMap) -> Tensor:
    """int64 (H, W)."""
    return torch.from_numpy(label.astype(np.int64))


def motion_tensor(motion: Motion) -> Tensor:
    """float32 (2, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(motion, np.float32)).permute(2, 0, 1)


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) in an order drawn from the seed and the epoch. ``epoch`` is set before each pass.

    A step of training takes ``accumulate`` batches of ``batch`` samples one after the other, each spread over ``processes``, of
    which this is number ``rank``: the samples of a step are those of one batch ``accumulate`` times as large on one process.
    Raises UsageError where a batch cannot be spread evenly.
    """

    def __init__(
        self, length: int, batch: int, seed: int, limit: int | None = None, accumulate: int = 1,
        rank: int = 0, processes: int = 1,
    ) -> None:  # fmt: skip
        self.length, self.batch, self.seed, self.epoch = length, batch, seed, 0
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
                f"a batch of {uneven[0]} images cannot be spread evenly over {processes} processes: choose a --batch that is a "
                f"multiple of {processes} (the training set has {self.count} samples)"
            )

    def __len__(self) -> int:
        return self.steps * len(self.sizes)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)[: self.count].tolist()
        for step in range(self.steps):
            first = step * self.group
            for size in self.sizes:
                share = size // self.processes
                begin = first + self.rank * share
                yield [(self.epoch, number) for number in order[begin : begin + share]]
                first += size


def loader(
    samples: TorchDataset[Sample], sampler: Sampler[list[tuple[int, int]]], workers: int, pin: bool
) -> DataLoader[Sample]:
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
