"""The training loop, one for all methods: phases by recipe, mixed precision, accumulation, several
processes, resume."""

from __future__ import annotations

import itertools
import math
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vssbench.core import registry
from vssbench.core.allocator import keep_freed_memory
from vssbench.core.dataset import Dataset
from vssbench.core.errors import UsageError
from vssbench.core.machine import typed_command
from vssbench.core.progress import messages
from vssbench.core.segmenter import Phase, VideoSegmenter
from vssbench.core.variant import Variant
from vssbench.core.version import __version__
from vssbench.nets.processes import sum_over_processes
from vssbench.training.checkpoint import (
    Checkpoint,
    best_path,
    checkpoint_path,
    curve_path,
    load_checkpoint,
)
from vssbench.training.course import Course, check_phases, chosen_phases
from vssbench.training.distributed import (
    World,
    is_loss_of_contact,
    same_everywhere,
    share_batch_norm,
    wait_for_all,
)
from vssbench.training.frozen import freeze
from vssbench.training.initial import initialise
from vssbench.training.material import Material, gather
from vssbench.training.notes import notes
from vssbench.training.options import Options
from vssbench.training.progress import Progress
from vssbench.training.recipe import Recipe, load_recipe, with_parameters
from vssbench.training.samples import (
    EpochSampler,
    Sample,
    joined,
    loader,
)
from vssbench.training.sources import samples_of
from vssbench.training.steps import Steps
from vssbench.training.validation import Best, best_entry, measure_of
from vssbench.weights.file import open_weights
from vssbench.weights.writing import save_weights

#: images of the pass on which the layers' gradients are checked: fewer than a batch, since it costs
#: some ten of such passes
CHECKED = 2


class OutOfTime(Exception):
    """The time for a training is over; its checkpoint is written."""


class Trainer:
    """Trains one method on one dataset; writes a checkpoint after every epoch and the weights at
    the end. ``material`` and ``steps`` are there from :meth:`run` on."""

    material: Material
    steps: Steps

    def __init__(
        self, variant: Variant, dataset_variant: Variant, dataset: Dataset, options: Options,
        out: Path,
        world: World | None = None,
    ) -> None:  # fmt: skip
        self.dataset_variant, self.dataset, self.options, self.out = (
            dataset_variant,
            dataset,
            options,
            out,
        )
        self.world = world or World()
        self.console = messages() if self.world.main else Console(quiet=True)
        self.progress = Progress(self.console, self.world.main)
        recipe = load_recipe(variant, dataset_variant.name, options.recipe, options.overrides())
        self.variant = with_parameters(variant, recipe)
        if recipe.precision == "fp16" and not options.device.startswith("cuda"):
            raise UsageError(
                f"fp16 trains on CUDA alone: with --device {options.device} choose --precision "
                "bf16 or fp32"
            )
        torch.manual_seed(options.seed)
        self.model: VideoSegmenter = registry.create(
            "methods", self.variant, classes=len(dataset.classes)
        )
        initial = [open_weights(path) for path in options.initial]
        started = initialise(self.model, initial, self.variant, dataset.classes, self.console)
        # read now: the weights that are written at the end may take the place of one of these files
        self.initial_records = [
            {"file": file.path.name, "sha256": file.sha256, "training": file.training}
            for file in initial
        ]
        phases = chosen_phases(self.variant, self.model, options.phases, started.replaced)
        self.course = Course(recipe, phases, started.given)
        check_phases(self.variant, self.model, self.course)
        for line in notes(self.recipe, self.variant, self.model, bool(initial)):
            self.progress.say(line)
        self.model.to(options.device, memory_format=torch.channels_last)
        same_everywhere(self.model)
        share_batch_norm(self.model)
        self.best: Best | None = None
        self.last_epoch = 0
        self.latest_score = ""
        self.history: list[dict[str, Any]] = []
        self.gradients: dict[str, dict[str, Any]] = {}
        self.seconds = 0.0
        self.began = time.monotonic()

    @property
    def recipe(self) -> Recipe:
        return self.course.recipe

    @property
    def phases(self) -> Sequence[Phase]:
        """The phases that are run, in order."""
        return self.course.phases

    @property
    def checkpoint_path(self) -> Path:
        return checkpoint_path(self.out)

    @property
    def best_path(self) -> Path:
        """Where the last phase's best state so far is kept as weights."""
        return best_path(self.out)

    @property
    def curve_path(self) -> Path:
        """Where the curves of loss and score are drawn."""
        return curve_path(self.out)

    def identity(self) -> dict[str, str]:
        names = {
            "method": str(self.variant),
            "dataset": str(self.dataset_variant),
            "processes": str(self.world.size),
        }
        return {**names, **self.options.identity(), **self.recipe.flat()}

    def run(self, resume: bool = False) -> list[Path]:
        """Train from the start, or from the checkpoint; returns the paths of the weights, the file
        itself first."""
        keep_freed_memory(large=True)
        try:
            return self._run(resume)
        except OutOfTime as stop:
            self.console.print(
                f"{self.variant}: stopped after {stop}; the same command with --resume goes on"
            )
            return []
        except RuntimeError as error:
            if is_loss_of_contact(error):
                raise UsageError(
                    "another process of this training has ended: its own message says why"
                ) from error
            raise
        except ValueError as error:
            # torch's batch normalisation of a globally pooled feature
            if "more than 1 value per channel" in str(error):
                raise UsageError(
                    f"{self.variant} normalises over the images of a pass: choose a --batch of 2 "
                    "or more"
                ) from error
            raise

    def _run(self, resume: bool) -> list[Path]:
        checkpoint = load_checkpoint(self.checkpoint_path, self.identity()) if resume else None
        self.material = gather(
            str(self.dataset_variant), self.dataset, self.recipe, self.options, self.world,
            self.progress,
        )  # fmt: skip
        self.steps = Steps(
            self.model, self.course, self.options.device, self.material.class_weights, self.world
        )
        first_phase = 0
        if checkpoint is not None:
            first_phase, self.history, self.seconds = (
                checkpoint.phase,
                checkpoint.history,
                checkpoint.seconds,
            )
            self.model.load_state_dict(checkpoint.model)
            self.steps.scaler.load_state_dict(checkpoint.scaler)
            self.gradients = checkpoint.gradients
            self.console.print(
                f"resuming {self.phases[first_phase].name} after epoch {checkpoint.epoch}"
            )
        for number in range(first_phase, len(self.phases)):
            resumed = checkpoint if checkpoint is not None and number == first_phase else None
            self._run_phase(number, resumed)
            if self.best is not None and self.course.takes_best(number):
                self.model.load_state_dict(self.best.model)
        paths = self._finish() if self.world.main else []
        wait_for_all()  # whichever process comes back may read the file
        return paths

    def _finish(self) -> list[Path]:
        part_bytes = None if self.options.part_size is None else int(self.options.part_size * 2**20)
        paths = self._save(self.out, part_bytes)
        self.checkpoint_path.unlink(missing_ok=True)
        if self.recipe.select == "best":  # the weights are this state
            self.best_path.unlink(missing_ok=True)
        return paths

    def _save(self, path: Path, part_bytes: int | None = None) -> list[Path]:
        return save_weights(
            path,
            self.model,
            self.variant,
            self.dataset.classes,
            self.dataset_variant.name,
            self._record(),
            part_bytes,
        )

    def _run_phase(self, number: int, resumed: Checkpoint | None) -> None:
        phase, recipe = self.phases[number], self.course.recipe_of(number)
        self.best, self.latest_score = None, ""
        if resumed is None:
            self.model.begin_phase(phase)
        elif resumed.best is not None:
            self.best = Best(**resumed.best)
        self.steps.begin(number, None if resumed is None else resumed.optimiser)
        first = resumed.epoch if resumed is not None else 0
        length = self.course.length(number)
        if length == 0 or (self.recipe.epochs is not None and length <= first):
            return
        samples = samples_of(phase, recipe, self.material.stills, self.model.needs)
        if phase.data != "stills":
            self.progress.preload("coding training clips", samples)
        sampler = EpochSampler(
            len(samples), recipe.batch, self.options.seed, self.options.frames,
            self.options.accumulate,
            self.world.rank, self.world.size,
        )  # fmt: skip
        steps = length * sampler.steps if self.recipe.iterations is None else length
        freeze(self.model, *self.course.held(number))
        self.last_epoch = math.ceil(steps / sampler.steps)
        epochs = range(first, self.last_epoch)
        sampler.epoch, sampler.epochs = first, len(epochs)
        self._check_gradients(
            number, joined([samples[place] for place in next(iter(sampler))[:CHECKED]])
        )
        # one pass for all epochs: the processes that load data go on through the end of an epoch,
        # and keep what they hold
        batches = loader(
            samples, sampler, self.options.workers, self.options.device.startswith("cuda")
        )
        named = f"{self.variant} {phase.name}"
        with self.progress.track(named, steps - first * sampler.steps) as tracker:
            for epoch in epochs:
                started = time.monotonic()
                torch.manual_seed(
                    self.options.seed * 100_003
                    + number * 10_007
                    + epoch
                    + self.world.rank * 1_000_003
                )
                # a loader for each epoch drew this number: dropout's are those that trainings had
                # with it
                torch.empty((), dtype=torch.int64).random_()
                taken = itertools.islice(
                    batches, min(len(sampler), (steps - epoch * sampler.steps) * len(sampler.sizes))
                )

                def told(loss: float, epoch: int = epoch) -> None:
                    tracker.advance(1, f"epoch {epoch + 1} loss {loss:.3f}{self.latest_score}")

                totals = self.steps.epoch(number, epoch, taken, sampler, told)
                self.seconds += time.monotonic() - started
                self._end_epoch(number, epoch + 1, totals, time.monotonic() - started)
                self._stop_in_time(number, epoch + 1, time.monotonic() - started)

    def _stop_in_time(self, number: int, epoch: int, seconds: float) -> None:
        """Raise OutOfTime where another epoch of ``seconds`` does not fit, unless this was the
        last; alike on all processes."""
        if self.options.minutes is None or (
            epoch == self.last_epoch and number == len(self.phases) - 1
        ):
            return
        late = time.monotonic() + seconds - self.began > 60 * self.options.minutes
        if (
            float(
                sum_over_processes(
                    torch.tensor(float(late), dtype=torch.float64, device=self.options.device)
                )
            )
            > 0
        ):
            raise OutOfTime(f"epoch {epoch} of phase {self.phases[number].name}")

    def _check_gradients(self, number: int, sample: Sample) -> None:
        """Check the layers' gradients before a phase; says so where a layer had to be changed."""
        phase = self.phases[number].name
        found = self.steps.check(number, sample, self.gradients.get(phase, {}).get("kept"))
        if line := found.line(self.recipe.precision):
            self.console.print(f"{self.variant} {phase}: {line}")
        self.gradients[phase] = found.record()

    def _end_epoch(self, number: int, epoch: int, totals: dict[str, float], seconds: float) -> None:
        phase = self.phases[number]
        entry: dict[str, Any] = {"phase": phase.name, "epoch": epoch, "seconds": round(seconds, 1)}
        self.history.append({**entry, **{name: round(value, 6) for name, value in totals.items()}})
        shown = ", ".join(f"{name} {value:.3f}" for name, value in totals.items())
        judged = self.material.validation is not None and (
            epoch % self.recipe.validate_every == 0 or epoch == self.last_epoch
        )
        improved = judged and self._judge(number, epoch)
        score = self.latest_score if judged else ""
        self.console.print(
            f"{self.variant} {phase.name} epoch {epoch}: {shown}{score} ({seconds:.0f} s)"
        )
        if not self.world.main:
            return
        best = None if self.best is None else vars(self.best)
        Checkpoint(
            self.identity(), number, epoch, self.model.state_dict(),
            self.steps.optimiser.state_dict(),
            self.seconds, self.history,
            self.steps.scaler.state_dict(), best, self.gradients,
        ).save(self.checkpoint_path)  # fmt: skip
        # before that, parts of the method are not trained yet
        if improved and number == len(self.phases) - 1:
            self._save(self.best_path)
        if self.options.curves is not None and (judged or epoch == self.last_epoch):
            measures = {phase.name: measure_of(phase) for phase in self.phases}
            self.options.curves(
                self.curve_path, self.history, measures, f"{self.variant} on {self.dataset_variant}"
            )

    def _judge(self, number: int, epoch: int) -> bool:
        """Judge the state after an epoch on the held-out clips; whether it is the phase's best so
        far."""
        assert self.material.validation is not None
        phase = self.phases[number]
        score = round(
            self.material.validation.score(self.model, phase, self.course.recipe_of(number)), 6
        )
        freeze(self.model, *self.course.held(number))
        self.history[-1]["validation"] = score if math.isfinite(score) else None
        best = best_entry(self.history, phase)
        improved = best is self.history[-1]
        if improved:
            self.best = Best.of(epoch, self.model)
        of_best = (
            f", best {best['validation']:.3f} at epoch {best['epoch']}"
            if best is not None and not improved
            else ""
        )
        self.latest_score = f", held-out {measure_of(phase)} {score:.3f} at epoch {epoch}{of_best}"
        return improved

    def _record(self) -> dict[str, Any]:
        material = self.material
        return {
            "command": typed_command(),
            "dataset": str(self.dataset_variant),
            "palette": [
                [int(part) for part in colour] for colour in getattr(self.dataset, "palette", ())
            ],
            "frames": len(material.stills),
            "options": self.identity(),
            "recipe": self.recipe.model_dump(mode="json"),
            "initial": self.initial_records,
            "gradients": {phase: record for phase, record in self.gradients.items() if record},
            "seconds": round(self.seconds),
            "division": material.division.record(),
            "pictures": material.pictures,
            "best": self.course.bests(self.history),
            "history": self.history,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "vssbench": __version__,
        }
