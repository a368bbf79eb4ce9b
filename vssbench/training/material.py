"""The data of a training: the clips that it trains on and is judged on, read into memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from vssbench.core.dataset import Dataset
from vssbench.core.division import Division
from vssbench.data.presence import absent_classes
from vssbench.training.distributed import World
from vssbench.training.frames import kept
from vssbench.training.memory import memory_of_process
from vssbench.training.options import Options
from vssbench.training.progress import Progress
from vssbench.training.recipe import Recipe
from vssbench.training.samples import Stills
from vssbench.training.validation import Setting, Validation, divide


@dataclass
class Material:
    """The data of a training.

    ``class_weights`` (C,) are ENet's, from the pixels of the training part; ``pictures`` digests of
    the frames that were read, on the main process; ``validation`` is None where nothing is held
    out.
    """

    division: Division
    stills: Stills
    class_weights: Tensor
    pictures: dict[str, dict[str, Any]] = field(default_factory=dict)
    validation: Validation | None = None


def gather(
    name: str, dataset: Dataset, recipe: Recipe, options: Options, world: World, progress: Progress
) -> Material:
    """Divide a dataset's training part and read its stills.

    ``name`` is the dataset as typed. Raises UsageError where validation is asked for and nothing
    can be held out.
    """
    memory = memory_of_process(options.memory, world.on_machine)
    division = divide(
        dataset, recipe.validate_every, bool(options.validate_every), progress.console.print
    )
    if (folder := options.frame_folder) is not None:
        division = replace(
            division,
            training=[kept(clip, folder) for clip in division.training],
            validation=[kept(clip, folder) for clip in division.validation],
        )
    if world.main:
        for line in absent_classes(division.training, dataset.classes):
            progress.say(f"{name}, training part: {line}")
    # what is held out is about a tenth of the data, and has that part of the memory
    held_out = memory.limit // 10 if division.validation else 0
    memory.limit -= held_out
    stills = Stills(division.training, recipe.common.augmentation, options.seed, memory)
    progress.preload("reading training frames", stills)
    weights = _class_weights(stills, len(dataset.classes)).to(options.device)
    made = Material(division, stills, weights)
    if world.main:
        # now: a disk that goes away behind the last epoch takes no weights with it
        made.pictures = division.pictures
    if division.validation:
        setting = Setting(options.device, options.workers, options.frames, held_out, world)
        made.validation = Validation(division, len(dataset.classes), setting, progress.preload)
    return made


def _class_weights(stills: Stills, classes: int) -> Tensor:
    """Return ENet's class weighting (C,): bounded, gentler than inverse frequency."""
    counts = torch.from_numpy(stills.pixel_counts(classes)).double()
    return (1 / torch.log(1.02 + counts / counts.sum())).float()
