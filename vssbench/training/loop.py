"""The training loop, one for all methods: phases by recipe, mixed precision, accumulation, several
processes, resume."""

from __future__ import annotations

import itertools
import math
import platform
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from vssbench.core import registry
from vssbench.core.allocator import keep_freed_memory
from vssbench.core.dataset import Dataset
from vssbench.core.division import Division
from vssbench.core.errors import UsageError
from vssbench.core.machine import typed_command
from vssbench.core.progress import Tracker, messages, track
from vssbench.core.segmenter import Phase, VideoSegmenter
from vssbench.core.variant import Variant
from vssbench.core.version import __version__
from vssbench.data.presence import absent_classes
from vssbench.nets.processes import sum_over_processes
from vssbench.training.checkpoint import (
    Checkpoint,
    best_path,
    checkpoint_path,
    curve_path,
    load_checkpoint,
)
from vssbench.training.course import Course
from vssbench.training.distributed import (
    World,
    average_gradients,
    is_loss_of_contact,
    same_everywhere,
    share_batch_norm,
    wait_for_all,
)
from vssbench.training.frames import kept
from vssbench.training.frozen import freeze, untrained
from vssbench.training.gradients import Findings, right_gradients
from vssbench.training.initial import initialise
from vssbench.training.memory import memory_of_process
from vssbench.training.notes import notes
from vssbench.training.options import Options
from vssbench.training.recipe import Recipe, load_recipe, with_parameters
from vssbench.training.samples import (
    EpochSampler,
    Sample,
    Samples,
    Stills,
    batch_of,
    joined,
    loader,
)
from vssbench.training.schedule import build_optimiser, rate_factor
from vssbench.training.sources import check_codecs, samples_of
from vssbench.training.validation import Best, Setting, Validation, best_entry, divide, measure_of
from vssbench.weights.file import open_weights
from vssbench.weights.writing import save_weights

#: autocast's type of each precision
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}

#: images of the pass on which the layers' gradients are checked: fewer than a batch, since it costs
#: some ten of such passes
CHECKED = 2


class OutOfTime(Exception):
    """The time for a training is over; its checkpoint is written."""


class Trainer:
    """Trains one method on one dataset; writes a checkpoint after every epoch and the weights at
    the end."""

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
        self.course = Course(recipe, self._chosen_phases(started.replaced), started.given)
        self._check_phases()
        for line in notes(self.recipe, self.variant, self.model, bool(initial)):
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        self.model.to(options.device, memory_format=torch.channels_last)
        same_everywhere(self.model)
        share_batch_norm(self.model)
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.recipe.precision == "fp16")
        self.optimiser: torch.optim.Optimizer | None = None
        self.stills: Stills | None = None
        self.enet_weights: Tensor | None = None
        self.division: Division | None = None
        self.pictures: dict[str, dict[str, Any]] = {}
        self.validation: Validation | None = None
        self.best: Best | None = None
        self.last_epoch = 0
        self.latest_score = ""
        self.history: list[dict[str, Any]] = []
        self.gradients: dict[str, dict[str, Any]] = {}
        self.findings = Findings()
        self.seconds = 0.0
        self.began = time.monotonic()

    def _check_phases(self) -> None:
        """Refuse, before anything is trained, what a later phase could not do."""
        modules = {name for name, _ in self.model.named_modules()}
        for number, phase in enumerate(self.phases):
            recipe = self.course.recipe_of(number)
            for name in (*recipe.frozen, *recipe.frozen_batch_norm):
                if name not in modules:
                    raise UsageError(
                        f"recipe {self.recipe.name}: {self.variant} has no part {name!r} to freeze"
                    )
            if self.course.length(number):
                check_codecs(phase, recipe, self.model.needs)

    def _chosen_phases(self, replaced: Collection[str]) -> list[Phase]:
        """Return the phases to run. Raises UsageError for a name that the method does not have."""
        phases, asked = self.model.phases(), self.options.phases
        unknown = [name for name in asked if name not in {phase.name for phase in phases}]
        if unknown:
            names = ", ".join(phase.name for phase in phases)
            raise UsageError(f"{self.variant} has no training phase {unknown[0]!r}; it has {names}")
        return [
            phase
            for phase in phases
            if (phase.name in asked if asked else phase.name not in replaced)
        ]

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
        self._load_stills()
        first_phase = 0
        if checkpoint is not None:
            first_phase, self.history, self.seconds = (
                checkpoint.phase,
                checkpoint.history,
                checkpoint.seconds,
            )
            self.model.load_state_dict(checkpoint.model)
            self.scaler.load_state_dict(checkpoint.scaler)
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

    def _load_stills(self) -> None:
        memory = memory_of_process(self.options.memory, self.world.on_machine)
        asked = bool(self.options.validate_every)
        self.division = divide(self.dataset, self.recipe.validate_every, asked, self.console.print)
        if (folder := self.options.frame_folder) is not None:
            training, validation = (
                [kept(clip, folder) for clip in clips]
                for clips in (self.division.training, self.division.validation)
            )
            self.division = replace(self.division, training=training, validation=validation)
        if self.world.main:
            for line in absent_classes(self.division.training, self.dataset.classes):
                text = f"{self.dataset_variant}, training part: {line}"
                self.console.print(text, markup=False, highlight=False, soft_wrap=True)
        # what is held out is about a tenth of the data, and has that part of the memory
        held_out = memory.limit // 10 if self.division.validation else 0
        memory.limit -= held_out
        stills = Stills(
            self.division.training, self.recipe.common.augmentation, self.options.seed, memory
        )
        self._preload("reading training frames", stills)
        counts = torch.from_numpy(stills.pixel_counts(len(self.dataset.classes))).double()
        # ENet's class weighting: bounded, gentler than inverse frequency
        self.enet_weights = (
            (1 / torch.log(1.02 + counts / counts.sum())).float().to(self.options.device)
        )
        self.stills = stills
        if self.world.main:
            # now: a disk that goes away behind the last epoch takes no weights with it
            self.pictures = self.division.pictures
        if self.division.validation:
            setting = Setting(
                self.options.device, self.options.workers, self.options.frames, held_out, self.world
            )
            self.validation = Validation(
                self.division, len(self.dataset.classes), setting, self._preload
            )

    def _preload(self, label: str, samples: Samples) -> None:
        samples.memory.lent = False  # the processes that loaded for the phase before have ended
        with self._track(label, samples.preload_steps()) as tracker:
            for _ in samples.preload():
                tracker.advance()

    @contextmanager
    def _track(self, label: str, total: int) -> Iterator[Tracker]:
        """Track progress on the main process alone."""
        if self.world.main and total:
            with track(label, total) as tracker:
                yield tracker
        else:
            yield Tracker(Console(quiet=True), label, total, None)

    def _run_phase(self, number: int, resumed: Checkpoint | None) -> None:
        phase, recipe = self.phases[number], self.course.recipe_of(number)
        self.best, self.latest_score = None, ""
        if resumed is None:
            self.model.begin_phase(phase)
        elif resumed.best is not None:
            self.best = Best(**resumed.best)
        optimiser = self.optimiser = self._optimiser(number, resumed)
        first = resumed.epoch if resumed is not None else 0
        length = self.course.length(number)
        if length == 0 or (self.recipe.epochs is not None and length <= first):
            return
        assert self.stills is not None
        samples = samples_of(phase, recipe, self.stills, self.model.needs)
        if phase.data != "stills":
            self._preload("coding training clips", samples)
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
        with self._track(f"{self.variant} {phase.name}", steps - first * sampler.steps) as tracker:
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
                totals = self._epoch(number, epoch, taken, sampler, optimiser, tracker)
                self.seconds += time.monotonic() - started
                self._end_epoch(number, epoch + 1, totals, optimiser, time.monotonic() - started)
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
        """Make sure that every layer's gradient is right, on one batch; says so where a layer had
        to be changed for it."""
        phase, precision = self.phases[number].name, self.recipe.precision
        known = self.gradients.get(phase, {}).get("kept")

        def loss() -> Tensor:
            return torch.stack(list(self._terms(number, sample).values())).sum()

        checked = right_gradients(self.model, loss, self.options.device, precision, known)
        if line := checked.line(precision):
            self.console.print(f"{self.variant} {phase}: {line}")
        self.findings, self.gradients[phase] = checked, checked.record()

    def _optimiser(self, number: int, resumed: Checkpoint | None) -> torch.optim.Optimizer:
        joined = self.course.joined(number)
        if self.optimiser is not None and number > joined[0]:
            return self.optimiser
        trained: set[str] = set()
        for member in joined:
            still = untrained(self.model, *self.course.held(member))
            trained |= {name for name, _ in self.model.named_parameters() if name not in still}
        settings = self.course.recipe_of(joined[0]).optimiser
        optimiser = build_optimiser(
            settings, self.model.named_parameters(), trained, settings.learning_rate
        )
        if resumed is not None:
            optimiser.load_state_dict(resumed.optimiser)
        return optimiser

    def _epoch(
        self, number: int, epoch: int, passes: Iterator[Sample], sampler: EpochSampler,
        optimiser: torch.optim.Optimizer,
        tracker: Tracker,
    ) -> dict[str, float]:  # fmt: skip
        """The mean of each term of the loss over the steps of an epoch."""
        phase, joined, steps = self.phases[number], self.course.joined(number), sampler.steps
        unit = 1 if self.recipe.iterations is None else steps
        before = sum(self.course.length(member) for member in joined if member < number) / unit
        whole = sum(self.course.length(member) for member in joined) / unit
        schedule = self.course.recipe_of(joined[0]).schedule
        totals: dict[str, float] = {}
        done = 0
        while batch := list(itertools.islice(passes, len(sampler.sizes))):
            factor = phase.learning_rate * rate_factor(
                schedule, before + epoch + done / steps, whole, steps
            )
            for group in optimiser.param_groups:
                group["lr"] = group["base"] * factor
            terms = self._step(number, batch, sampler.sizes, optimiser)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + value
            done += 1
            tracker.advance(
                1, f"epoch {epoch + 1} loss {sum(terms.values()):.3f}{self.latest_score}"
            )
        return {name: value / done for name, value in totals.items()}

    def _step(
        self,
        number: int,
        passes: list[Sample],
        sizes: Sequence[int],
        optimiser: torch.optim.Optimizer,
    ) -> dict[str, float]:
        """One step of the optimiser from one or more passes of ``sizes`` images over all processes;
        the loss's terms."""
        recipe = self.course.recipe_of(number)
        optimiser.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for sample, size in zip(passes, sizes, strict=True):
            share = size / sum(sizes)
            terms = {
                name: term.float() * share for name, term in self._terms(number, sample).items()
            }
            self.scaler.scale(torch.stack(list(terms.values())).sum()).backward()
            for name, term in terms.items():
                sums[name] = sums.get(name, torch.zeros_like(term)) + term.detach()
        members = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        average_gradients(members)
        self.scaler.unscale_(optimiser)
        if recipe.clip:
            nn.utils.clip_grad_norm_(members, recipe.clip)
        self.scaler.step(optimiser)
        self.scaler.update()
        means = sum_over_processes(torch.stack(list(sums.values()))) / self.world.size
        values = dict(zip(sums, means.tolist(), strict=True))
        if not math.isfinite(sum(values.values())):
            doubt = self.findings.doubt(self.recipe.precision)
            remedy = f"{doubt}; or resume" if doubt else "resume"
            raise UsageError(f"training diverged: the loss is {values}; {remedy} with a lower --lr")
        return values

    def _terms(self, number: int, sample: Sample) -> dict[str, Tensor]:
        """Return the terms of the loss of one pass on this process."""
        device = self.options.device
        assert self.enet_weights is not None
        even = self.course.recipe_of(number).class_weights == "none"
        weights = torch.ones_like(self.enet_weights) if even else self.enet_weights
        batch = batch_of(sample, device, weights)
        kind = AUTOCAST.get(self.recipe.precision)
        with torch.autocast(
            device.split(":")[0], dtype=kind or torch.bfloat16, enabled=kind is not None
        ):
            return self.model.loss(self.phases[number], batch)

    def _end_epoch(
        self,
        number: int,
        epoch: int,
        totals: dict[str, float],
        optimiser: torch.optim.Optimizer,
        seconds: float,
    ) -> None:
        phase = self.phases[number]
        entry: dict[str, Any] = {"phase": phase.name, "epoch": epoch, "seconds": round(seconds, 1)}
        self.history.append({**entry, **{name: round(value, 6) for name, value in totals.items()}})
        shown = ", ".join(f"{name} {value:.3f}" for name, value in totals.items())
        judged = self.validation is not None and (
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
            self.identity(), number, epoch, self.model.state_dict(), optimiser.state_dict(),
            self.seconds, self.history,
            self.scaler.state_dict(), best, self.gradients,
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
        assert self.validation is not None
        phase = self.phases[number]
        score = round(self.validation.score(self.model, phase, self.course.recipe_of(number)), 6)
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
        assert self.stills is not None
        assert self.division is not None
        return {
            "command": typed_command(),
            "dataset": str(self.dataset_variant),
            "palette": [
                [int(part) for part in colour] for colour in getattr(self.dataset, "palette", ())
            ],
            "frames": len(self.stills),
            "options": self.identity(),
            "recipe": self.recipe.model_dump(mode="json"),
            "initial": self.initial_records,
            "gradients": {phase: record for phase, record in self.gradients.items() if record},
            "seconds": round(self.seconds),
            "division": self.division.record(),
            "pictures": self.pictures,
            "best": self.course.bests(self.history),
            "history": self.history,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "vssbench": __version__,
        }
