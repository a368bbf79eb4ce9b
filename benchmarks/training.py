"""Speed of training beside a plain torch loop over tensors in memory, and what a sample costs
the processor."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from common import benchmark, figures, ratios
from PIL import Image as Pillow
from torch import Tensor

from vssbench.cli.options import Size
from vssbench.core.dataset import Dataset
from vssbench.core.segmenter import Batch
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip, Image
from vssbench.nets.precision import autocast
from vssbench.training.augment import Augmentation
from vssbench.training.loop import Trainer
from vssbench.training.options import Options
from vssbench.training.samples import Stills, joined
from vssbench.training.schedule import build_optimiser

GROUPS = ("loop", "sample")
#: height x width of a still and of the crop
SAMPLES = (((360, 480), (240, 320)), ((360, 480), (360, 480)), ((720, 960), (720, 960)))


@dataclass(frozen=True)
class Settings:
    """The training that is timed: ``epochs`` epochs, after one that is not timed."""

    size: tuple[int, int]
    crop: tuple[int, int]
    batch: int
    images: int
    epochs: int
    workers: int
    precision: str


@benchmark(GROUPS, rounds=3, size="360x480", of="the stills")
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=("pspnet[width=0.5]", "pspnet[width=0.25]", "bisenet[width=0.5]"),
    show_default=True,
    help="What is trained.",
)
@click.option("--crop", type=Size(), default="240x320", show_default=True)
@click.option("--batch", type=click.IntRange(2), default=8, show_default=True)
@click.option(
    "--images",
    type=click.IntRange(2),
    default=64,
    show_default=True,
    help="Stills, and images an epoch.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Timed epochs of a round.",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Processes that load data.",
)
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="bf16", show_default=True)
def main(
    methods: tuple[str, ...],
    rounds: int,
    groups: tuple[str, ...],
    output: Path | None,
    force: bool,
    **given: Any,
) -> None:
    """Measure training, not what comes of it.

    loop: images a second of the trainer with the whole augmentation of the recipe `short`, and of a
    plain loop with the same network, loss, precision, batch and optimiser over float tensors that
    lie in memory, cropped. A ratio is taken within a round. sample: milliseconds of processor time
    for one sample, augmented, and for joining it to a batch.
    """
    settings, wanted = Settings(**given), groups or GROUPS
    with figures(output, force, settings=vars(settings)) as measured:
        if "loop" in wanted:
            measured["images_per_second"] = {
                method: loops(method, settings, rounds) for method in methods
            }
        if "sample" in wanted:
            measured["sample_cpu_ms"] = {
                f"{size} to {crop}": sample_cost(size, crop) for size, crop in SAMPLES
            }
            for what, milliseconds in measured["sample_cpu_ms"].items():
                click.echo(f"A sample, {what}: {milliseconds:.2f} ms of processor time")


def loops(method: str, settings: Settings, rounds: int) -> dict[str, list[float]]:
    """Return images a second of both loops in each round."""
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            trainer = TimedTrainer(method, settings, Path(folder))
            rates["ours"].append(trainer.rate())
            rates["plain"].append(PlainLoop(trainer, settings).rate())
    each = ratios(rates["ours"], rates["plain"])
    ours, plain = (statistics.median(rates[name]) for name in ("ours", "plain"))
    click.echo(
        f"{method}: {ours:.1f} images a second, plain loop {plain:.1f}, ratio "
        f"{statistics.median(each):.3f} ({min(each):.3f} to {max(each):.3f})"
    )
    return {**rates, "ratio": each}


def still(size: tuple[int, int], number: int) -> tuple[Image, Image]:
    """Return a picture with coarse and fine structure and a label in patches."""
    random = np.random.default_rng(number)
    coarse = random.integers(0, 230, (size[0] // 8 + 1, size[1] // 8 + 1, 3)).astype(np.uint8)
    image = np.asarray(
        Pillow.fromarray(coarse).resize((size[1], size[0]), Pillow.Resampling.BICUBIC)
    )
    image = image + random.integers(0, 12, image.shape).astype(np.uint8)
    label = random.integers(0, 11, (size[0] // 24 + 1, size[1] // 24 + 1)).astype(np.uint8)
    return image, np.repeat(np.repeat(label, 24, 0), 24, 1)[: size[0], : size[1]]


class Pictures(Dataset):
    """Stills that lie in memory, as clips of one frame."""

    title = "Pictures"
    classes = tuple(f"class {number}" for number in range(11))
    palette = tuple((number, number, number) for number in range(11))

    def __init__(self, size: tuple[int, int], images: int) -> None:
        self.stills = [still(size, number) for number in range(images)]

    def clips(self) -> Sequence[Clip]:
        """See Dataset."""
        return self.training_clips()

    def training_clips(self) -> Sequence[Clip]:
        """See Dataset."""
        return [self._clip(number) for number in range(len(self.stills))]

    def _clip(self, number: int) -> Clip:
        image, label = self.stills[number]
        height, width = label.shape
        return Clip(
            f"still{number}",
            1,
            height,
            width,
            1.0,
            lambda index: image,
            lambda index: label,
            str(number),
            labelled=(0,),
        )


class TimedTrainer(Trainer):
    """The trainer, with the time at the end of each epoch."""

    def __init__(self, method: str, settings: Settings, folder: Path) -> None:
        options = Options(
            epochs=settings.epochs + 1,
            batch=settings.batch,
            crop=settings.crop,
            precision=settings.precision,
            workers=settings.workers,
        )
        pictures = Pictures(settings.size, settings.images)
        super().__init__(
            parse_variant(method),
            parse_variant("pictures"),
            pictures,
            options,
            folder / "w.safetensors",
        )
        self.console.quiet = True
        self.settings, self.ends = settings, list[float]()

    def _end_epoch(self, *arguments: Any, **named: Any) -> None:
        super()._end_epoch(*arguments, **named)
        self.ends.append(time.perf_counter())

    def rate(self) -> float:
        """Return images a second, checkpoints and all, from the end of the first epoch to that of
        the last."""
        self.run()
        steps = self.settings.images // self.settings.batch
        return self.settings.epochs * steps * self.settings.batch / (self.ends[-1] - self.ends[0])


class PlainLoop:
    """A training loop of plain torch: batches of tensors that lie in memory, a forward and a
    backward pass, a step."""

    def __init__(self, trainer: Trainer, settings: Settings) -> None:
        self.trainer, self.settings = trainer, settings
        self.model, self.phase = trainer.model, trainer.phases[0]
        self.recipe = trainer.recipe.of(self.phase.name)
        named = list(self.model.named_parameters())
        optimiser = self.recipe.optimiser
        self.optimiser = build_optimiser(
            optimiser, named, [name for name, _ in named], optimiser.learning_rate
        )
        height, width = settings.crop
        stills = [still(settings.size, number) for number in range(settings.images)]
        images = torch.stack(
            [torch.from_numpy(image[:height, :width].copy()) for image, _ in stills]
        )
        self.images = (images.float() / 255).permute(0, 3, 1, 2)
        self.labels = torch.stack(
            [torch.from_numpy(label[:height, :width].astype(np.int64)) for _, label in stills]
        )

    def rate(self) -> float:
        """Return images a second, after one epoch that is not timed."""
        self._epoch()
        started = time.perf_counter()
        done = sum(self._epoch() for _ in range(self.settings.epochs))
        return done / (time.perf_counter() - started)

    def _epoch(self) -> int:
        self.model.train()
        order = torch.randperm(self.settings.images)
        steps = self.settings.images // self.settings.batch
        for step in range(steps):
            self._step(order[step * self.settings.batch : (step + 1) * self.settings.batch])
        return steps * self.settings.batch

    def _step(self, chosen: Tensor) -> None:
        weights = self.trainer.material.class_weights
        batch = Batch(self.images[chosen], self.labels[chosen], weights)
        self.optimiser.zero_grad(set_to_none=True)
        with autocast("cpu", self.settings.precision):
            loss = torch.stack(list(self.model.loss(self.phase, batch).values())).sum()
        loss.backward()
        if self.recipe.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimiser.step()


def sample_cost(size: tuple[int, int], crop: tuple[int, int], count: int = 64) -> float:
    """Return milliseconds of processor time a sample, by one thread: augmented, made tensors and
    joined to batches of eight."""
    samples = Stills(Pictures(size, 8).training_clips(), Augmentation(crop), 0)
    list(samples.preload())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        joined([samples[0, number] for number in range(8)])
        started = time.process_time()
        for first in range(0, count, 8):
            joined([samples[1 + first, number] for number in range(8)])
        return 1000 * (time.process_time() - started) / count
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
