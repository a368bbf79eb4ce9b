"""Validation: how good a state of a training is on clips held out of it, and which state was the
best.

A phase on stills is judged by the mIoU of whole held-out images, one on pairs by the mIoU of later
frames of held-out pairs, one on flow by its own loss on held-out pairs. All in fp32 and evaluation
mode, as methods are scored; the pairs are the same each time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

import numpy as np
import torch

from vssbench.core.dataset import Dataset
from vssbench.core.division import Division, undivided
from vssbench.core.errors import UsageError
from vssbench.core.segmenter import Batch, Phase, VideoSegmenter
from vssbench.core.video import Clip
from vssbench.metrics.confusion import confusion_matrix
from vssbench.metrics.iou import mean_iou
from vssbench.nets.processes import sum_over_processes
from vssbench.nets.resize import resize
from vssbench.training.augment import Augmentation
from vssbench.training.distributed import World
from vssbench.training.memory import DEFAULT_BYTES, Memory
from vssbench.training.recipe import PhaseRecipe
from vssbench.training.samples import BatchSampler, Sample, Samples, Stills, batch_of, loader
from vssbench.training.sources import samples_of

Measure = Literal["mIoU", "flow error"]

#: what the pairs of validation are drawn from, whatever the training's own seed
SEED = 20_231


#: preloads samples, with a label for its progress
Preload = Callable[[str, Samples], None]


def preload_silently(label: str, samples: Samples) -> None:
    """Preload samples without a word."""
    for _ in samples.preload():
        pass


def measure_of(phase: Phase) -> Measure:
    """Return the measure that a phase is judged by: mIoU, or the loss of a phase on flow."""
    return "flow error" if phase.data == "flow" else "mIoU"


def best_entry(history: Sequence[dict[str, Any]], phase: Phase) -> dict[str, Any] | None:
    """Return the epoch of a phase with the best score, the latest of equal ones; None where none
    was judged."""
    judged = [
        entry
        for entry in history
        if entry["phase"] == phase.name and entry.get("validation") is not None
    ]
    if not judged:
        return None
    sign = -1 if measure_of(phase) == "flow error" else 1
    return max(judged, key=lambda entry: (sign * entry["validation"], entry["epoch"]))


@dataclass
class Best:
    """The best state of a phase so far: the epoch after which it was reached, and the model's
    tensors."""

    epoch: int
    model: dict[str, Any]

    @classmethod
    def of(cls, epoch: int, model: VideoSegmenter) -> Best:
        """Return a copy of a model's state, on the CPU."""
        return cls(
            epoch,
            {name: value.detach().cpu().clone() for name, value in model.state_dict().items()},
        )


@dataclass(frozen=True)
class Setting:
    """The device, the processes that load data, the frames (None: all) and bytes at most, and this
    process."""

    device: str
    workers: int = 0
    frames: int | None = None
    memory: int = DEFAULT_BYTES
    world: World = field(default_factory=World)


class Validation:
    """Judges states of a training on held-out clips. Clips of several sizes are judged together."""

    def __init__(
        self,
        division: Division,
        classes: int,
        setting: Setting,
        preload: Preload = preload_silently,
    ) -> None:
        self.classes, self.setting, self.preload = classes, setting, preload
        groups = _by_size(division.validation)
        self.groups = [
            _whole_stills(clips, Memory(setting.memory // len(groups))) for clips in groups
        ]
        for whole in self.groups:
            self.preload("reading held-out frames", whole)
        self._sets: tuple[Phase, list[Samples]] | None = None

    def score(self, model: VideoSegmenter, phase: Phase, recipe: PhaseRecipe) -> float:
        """Return the phase's measure on the held-out clips; the same on every process. Leaves the
        model in evaluation mode."""
        sets = self._samples(phase, recipe, model.needs)
        model.eval()
        with torch.no_grad():
            return (
                self._flow_error(model, phase, sets)
                if phase.data == "flow"
                else self._miou(model, phase, sets)
            )

    def _samples(self, phase: Phase, recipe: PhaseRecipe, needs: frozenset[str]) -> list[Samples]:
        """Return the phase's samples of the held-out clips, preloaded once."""
        if self._sets is None or self._sets[0] is not phase:
            self._sets = None  # let go of the last phase's before the next are made
            sets = []
            for whole in self.groups:
                seen = whole.augmentation if phase.data == "stills" else _even(whole.augmentation)
                sets.append(
                    samples_of(
                        phase, recipe.model_copy(update={"augmentation": seen}), whole, needs
                    )
                )
                if phase.data != "stills":
                    self.preload("coding held-out clips", sets[-1])
            self._sets = (phase, sets)
        return self._sets[1]

    def _miou(self, model: VideoSegmenter, phase: Phase, sets: Sequence[Samples]) -> float:
        """Compute mIoU of one confusion matrix over all held-out frames, which the processes share
        between them."""
        total = np.zeros((self.classes, self.classes), np.int64)
        for batch in self._batches(sets, self.setting.world):
            logits = model.validation_logits(phase, batch)
            size = (batch.label.shape[-2], batch.label.shape[-1])
            prediction = resize(logits, size)[0].argmax(0).to(torch.uint8).cpu().numpy()
            total += confusion_matrix(
                batch.label[0].to(torch.uint8).cpu().numpy(), prediction, self.classes
            )
        return mean_iou(
            sum_over_processes(torch.from_numpy(total).to(self.setting.device)).cpu().numpy()
        )

    def _flow_error(self, model: VideoSegmenter, phase: Phase, sets: Sequence[Samples]) -> float:
        """Return the mean of the phase's loss. Every process takes all pairs: a loss may itself be
        one over all processes."""
        losses = [
            sum(float(term) for term in model.loss(phase, batch).values())
            for batch in self._batches(sets, World())
        ]
        mean = torch.tensor(float(np.mean(losses)) if losses else math.nan, dtype=torch.float64)
        return float(sum_over_processes(mean.to(self.setting.device))) / self.setting.world.size

    def _batches(self, sets: Sequence[Samples], world: World) -> Iterator[Batch]:
        """Yield this process's share of the samples, one image a batch."""
        cuda = self.setting.device.startswith("cuda")
        limit = None if self.setting.frames is None else math.ceil(self.setting.frames / len(sets))
        for samples in sets:
            for sample in loader(
                samples, _InOrder(len(samples), limit, world), self.setting.workers, cuda
            ):
                yield self._batch(sample)

    def _batch(self, sample: Sample) -> Batch:
        even = torch.ones(self.classes, device=self.setting.device)
        return batch_of(sample, self.setting.device, even)


class _InOrder(BatchSampler):
    """The numbers of samples one by one, each at epoch 0: every one, or ``limit`` that are spread
    evenly."""

    epoch, sizes, processes = 0, (1,), 1  # a batch of one image, which is this process's own

    def __init__(self, length: int, limit: int | None, world: World) -> None:
        count = min(length, limit or length)
        self.numbers = [place * length // count for place in range(count)][world.rank :: world.size]

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter([[(0, number)] for number in self.numbers])


def _by_size(clips: Sequence[Clip]) -> list[list[Clip]]:
    """Return the clips in groups of one height and width."""

    def size(clip: Clip) -> tuple[int, int]:
        return clip.height, clip.width

    return [list(group) for _, group in groupby(sorted(clips, key=size), key=size)]


def _whole_stills(clips: Sequence[Clip], memory: Memory) -> Stills:
    """Return the labelled frames of clips of one size, whole and unchanged."""
    clip = clips[0]
    unchanged = Augmentation((clip.height, clip.width), (1.0,), 0, 0, 0, "list")
    return Stills(clips, unchanged, SEED, memory)


def _even(whole: Augmentation) -> Augmentation:
    """Return the same of a picture that video can have: height and width even."""
    height, width = whole.crop
    return replace(whole, crop=(height - height % 2, width - width % 2))


def divide(dataset: Dataset, every: int, asked: bool, say: Callable[[str], None]) -> Division:
    """Return the division of a dataset's training part where it is to be judged every so many
    epochs, else all of it to train on.

    Where nothing can be held out, ``say`` tells it, or, where validation was ``asked`` for,
    UsageError is raised.
    """
    if not every:
        return undivided(dataset.training_clips())
    division = dataset.division()
    if any(clip.labelled_frames() for clip in division.validation):
        return division
    clips = [*division.training, *division.validation]
    problem = (
        f"nothing to validate on: no labelled clip can be held out of {len(clips)} training clip(s)"
    )
    if asked:
        raise UsageError(
            f"{problem}; have two labelled ones or more, or leave --validate-every out"
        )
    say(f"{problem}; training on everything")
    return undivided(clips)
