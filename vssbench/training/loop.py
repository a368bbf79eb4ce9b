"""The training loop, one for all methods: phases, AdamW with warm-up and cosine decay, bf16 autocast, resume."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vssbench import __version__, registry
from vssbench.errors import UsageError
from vssbench.machine import typed_command
from vssbench.progress import messages, track
from vssbench.segmenter import Batch, Phase, VideoSegmenter
from vssbench.training.augment import Augmentation
from vssbench.training.checkpoint import Checkpoint, load_checkpoint
from vssbench.training.samples import EgoMotionPairs, EpochSampler, Stills, VideoPairs, loader
from vssbench.variant import Variant, parse_variant
from vssbench.video import Dataset
from vssbench.weights import WeightFile, open_weights, save_weights


@dataclass(frozen=True)
class Options:
    """How to train. ``epochs`` are those of a phase of share 1; ``frames`` limits the frames of an epoch; ``part_size``, in
    MiB, splits the weight file."""

    epochs: int = 40
    batch: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 1.0
    crop: tuple[int, int] = (240, 320)
    precision: str = "bf16"
    device: str = "cpu"
    workers: int = 1
    seed: int = 0
    frames: int | None = None
    codecs: tuple[str, ...] = ("h264[bitrate=1M]",)
    initial: tuple[Path, ...] = field(default=())
    part_size: float | None = None

    def identity(self) -> dict[str, str]:
        """Every option that changes the trained weights, as text."""
        skipped = ("device", "workers", "part_size")
        return {key: _text(value) for key, value in vars(self).items() if key not in skipped}


def _text(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, tuple) else str(value)


class Trainer:
    """Trains one method on one dataset; writes a checkpoint after every epoch and the weights at the end."""

    def __init__(self, variant: Variant, dataset_variant: Variant, dataset: Dataset, options: Options, out: Path) -> None:
        self.variant, self.dataset_variant, self.dataset = variant, dataset_variant, dataset
        self.options, self.out = options, out
        self.console = messages()
        torch.manual_seed(options.seed)
        self.model: VideoSegmenter = registry.create("methods", variant, classes=len(dataset.classes))
        initial = [open_weights(path) for path in options.initial]
        self.replaced = self._initialise(initial)
        # read now: the weights that are written at the end may take the place of one of these files
        self.initial_records = [{"file": file.path.name, "sha256": file.sha256, "training": file.training} for file in initial]
        self.phases = [phase for phase in self.model.phases() if phase.name not in self.replaced]
        self.model.to(options.device, memory_format=torch.channels_last)
        self.augmentation = Augmentation(crop=options.crop)
        self.stills: Stills | None = None
        self.class_weights: Tensor | None = None
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0

    def _initialise(self, files: Sequence[WeightFile]) -> set[str]:
        replaced: set[str] = set()
        for file in files:
            if len(file.classes) != len(self.dataset.classes):
                raise UsageError(
                    f"--init {file.path} has {len(file.classes)} classes and the dataset {len(self.dataset.classes)}"
                )
            replaced.update(self.model.initialise(file.tensors(), file.metadata))
        if replaced:
            self.console.print(f"{self.variant}: phases already trained, taken from --init: {', '.join(sorted(replaced))}")
        return replaced

    @property
    def checkpoint_path(self) -> Path:
        return self.out.with_name(self.out.name + ".checkpoint")

    def identity(self) -> dict[str, str]:
        return {"method": str(self.variant), "dataset": str(self.dataset_variant), **self.options.identity()}

    def run(self, resume: bool = False) -> list[Path]:
        """Train from the start, or from the checkpoint; returns the paths of the weights, the file itself first."""
        checkpoint = load_checkpoint(self.checkpoint_path, self.identity()) if resume else None
        self._load_stills()
        first_phase = 0
        if checkpoint is not None:
            first_phase, self.history, self.seconds = checkpoint.phase, checkpoint.history, checkpoint.seconds
            self.model.load_state_dict(checkpoint.model)
            self.console.print(f"resuming {self.phases[first_phase].name} after epoch {checkpoint.epoch}")
        for number in range(first_phase, len(self.phases)):
            resumed = checkpoint if checkpoint is not None and number == first_phase else None
            self._run_phase(number, resumed)
        part_bytes = None if self.options.part_size is None else int(self.options.part_size * 2**20)
        paths = save_weights(
            self.out, self.model, self.variant, self.dataset.classes, self.dataset_variant.name, self._record(), part_bytes
        )
        self.checkpoint_path.unlink(missing_ok=True)
        return paths

    def _load_stills(self) -> None:
        stills = Stills(self.dataset.training_clips(), self.augmentation, self.options.seed)
        with track("reading training frames", len(stills)) as tracker:
            for _ in stills.preload():
                tracker.advance()
        counts = torch.from_numpy(stills.pixel_counts(len(self.dataset.classes))).double()
        # ENet's class weighting: bounded, gentler than inverse frequency
        self.class_weights = (1 / torch.log(1.02 + counts / counts.sum())).float().to(self.options.device)
        self.stills = stills

    def _samples(self, phase: Phase) -> Stills | EgoMotionPairs | VideoPairs:
        assert self.stills is not None
        if phase.data == "stills":
            return self.stills
        codecs = [registry_variant(text) for text in self.options.codecs]
        clips = self.dataset.training_clips()
        if all(clip.length == 1 for clip in clips):
            return EgoMotionPairs(self.stills, codecs[0])
        pairs = VideoPairs(clips, codecs, self.augmentation, self.options.seed)
        with track("coding training clips", len(clips)) as tracker:
            for _ in pairs.preload():
                tracker.advance()
        return pairs

    def _run_phase(self, number: int, resumed: Checkpoint | None) -> None:
        phase, options = self.phases[number], self.options
        epochs = max(1, round(options.epochs * phase.share))
        if resumed is not None and resumed.epoch >= epochs:
            return
        samples = self._samples(phase)
        sampler = EpochSampler(len(samples), options.batch, options.seed, options.frames)
        batches = loader(samples, sampler, options.workers, options.device.startswith("cuda"))
        if resumed is None:
            self.model.begin_phase(phase)
        freeze(self.model, phase.frozen)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        base_rate = options.learning_rate * phase.learning_rate
        optimiser = torch.optim.AdamW(trained, lr=base_rate, weight_decay=options.weight_decay)
        first = 0
        if resumed is not None:
            optimiser.load_state_dict(resumed.optimiser)
            first = resumed.epoch
        steps = len(sampler)
        label = f"{self.variant} {phase.name}"
        with track(label, (epochs - first) * steps) as tracker:
            for epoch in range(first, epochs):
                started = time.monotonic()
                sampler.epoch = epoch
                torch.manual_seed(options.seed * 100_003 + number * 10_007 + epoch)
                totals: dict[str, float] = {}
                for step, sample in enumerate(batches):
                    progress = epoch + step / steps
                    for group in optimiser.param_groups:
                        group["lr"] = base_rate * rate_factor(progress, epochs, options.warmup)
                    terms = self._step(phase, sample, optimiser)
                    for name, value in terms.items():
                        totals[name] = totals.get(name, 0.0) + value / steps
                    tracker.advance(1, f"epoch {epoch + 1}/{epochs} loss {terms['task']:.3f}")
                self.seconds += time.monotonic() - started
                self._end_epoch(number, epoch + 1, totals, optimiser, time.monotonic() - started)

    def _step(self, phase: Phase, sample: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> dict[str, float]:
        device = self.options.device
        assert self.class_weights is not None
        images = {key: _unit(sample[key].to(device, non_blocking=True)) for key in ("image", "keyframe") if key in sample}
        motion = sample["motion"].to(device, non_blocking=True) if "motion" in sample else None
        label = sample["label"].to(device, non_blocking=True)
        batch = Batch(images["image"], label, self.class_weights, images.get("keyframe"), motion)
        enabled = self.options.precision == "bf16"
        with torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=enabled):
            terms = self.model.loss(phase, batch)
            total = torch.stack([term.float() for term in terms.values()]).sum()
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], 5.0)
        optimiser.step()
        values = {name: float(term.detach()) for name, term in terms.items()}
        if not math.isfinite(sum(values.values())):
            raise UsageError(f"training diverged: the loss is {values}; resume with a lower --lr")
        return values

    def _end_epoch(
        self, number: int, epoch: int, totals: dict[str, float], optimiser: torch.optim.Optimizer, seconds: float
    ) -> None:
        entry = {"phase": self.phases[number].name, "epoch": epoch, "seconds": round(seconds, 1)}
        self.history.append({**entry, **{name: round(value, 4) for name, value in totals.items()}})
        shown = ", ".join(f"{name} {value:.3f}" for name, value in totals.items())
        self.console.print(f"{self.variant} {entry['phase']} epoch {epoch}: {shown} ({seconds:.0f} s)")
        Checkpoint(
            self.identity(), number, epoch, self.model.state_dict(), optimiser.state_dict(), self.seconds, self.history
        ).save(self.checkpoint_path)

    def _record(self) -> dict[str, Any]:
        assert self.stills is not None
        return {
            "command": typed_command(),
            "dataset": str(self.dataset_variant),
            "frames": len(self.stills),
            "options": self.options.identity(),
            "initial": self.initial_records,
            "seconds": round(self.seconds),
            "history": self.history,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "vssbench": __version__,
        }


def registry_variant(text: str) -> Variant:
    """A codec's variant, checked to exist."""
    variant = parse_variant(text)
    registry.find("codecs", variant.name)
    return variant


def freeze(model: VideoSegmenter, frozen: tuple[str, ...]) -> None:
    """Put the model in training mode but for the named submodules, which keep their weights and their statistics."""
    model.train()
    model.requires_grad_(True)
    for name in frozen:
        model.get_submodule(name).eval().requires_grad_(False)


def rate_factor(progress: float, epochs: int, warmup: float) -> float:
    """Linear warm-up over ``warmup`` epochs, then half a cosine to 0 at ``epochs``."""
    warm = min(warmup, epochs / 2)
    if progress < warm:
        return 0.05 + 0.95 * progress / warm
    return 0.5 * (1 + math.cos(math.pi * (progress - warm) / (epochs - warm)))


def _unit(image: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) to float32 in [0, 1], channels-last."""
    return image.float().div_(255).contiguous(memory_format=torch.channels_last)
