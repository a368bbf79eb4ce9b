"""The steps of a training: the loss of a batch, its gradient, and what the optimiser makes of
it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vssbench.core.errors import UsageError
from vssbench.core.segmenter import VideoSegmenter
from vssbench.nets.precision import autocast
from vssbench.nets.processes import sum_over_processes
from vssbench.training.course import Course
from vssbench.training.distributed import World, average_gradients
from vssbench.training.frozen import untrained
from vssbench.training.gradients import Findings, right_gradients
from vssbench.training.samples import EpochSampler, Sample, batch_of
from vssbench.training.schedule import build_optimiser, rate_factor


class Steps:
    """The steps of one model through the phases of a course, in the recipe's precision.

    ``class_weights`` (C,) are those of the loss in phases that weight classes.
    """

    def __init__(
        self,
        model: VideoSegmenter,
        course: Course,
        device: str,
        class_weights: Tensor,
        world: World,
    ) -> None:
        self.model, self.course, self.device, self.world = model, course, device, world
        self.class_weights = class_weights
        self.precision = course.recipe.precision
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.precision == "fp16")
        self.findings = Findings()
        self._optimiser: torch.optim.Optimizer | None = None

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """The optimiser of the phase that was begun last."""
        assert self._optimiser is not None, "no phase was begun"
        return self._optimiser

    def begin(self, number: int, resumed: dict[str, Any] | None = None) -> None:
        """Take up the optimiser of a phase: the last one's where they share it, else a new one, in
        the state that it is ``resumed`` with."""
        members = self.course.joined(number)
        if self._optimiser is not None and number > members[0]:
            return
        trained: set[str] = set()
        for member in members:
            still = untrained(self.model, *self.course.held(member))
            trained |= {name for name, _ in self.model.named_parameters() if name not in still}
        settings = self.course.recipe_of(members[0]).optimiser
        self._optimiser = build_optimiser(
            settings, self.model.named_parameters(), trained, settings.learning_rate
        )
        if resumed is not None:
            self._optimiser.load_state_dict(resumed)

    def check(self, number: int, sample: Sample, known: dict[str, Any] | None) -> Findings:
        """Make sure that every layer's gradient is right, on one batch, and keep the findings.

        Layers in ``known`` take the form named there at least: a training that is resumed goes on
        as it began.
        """

        def loss() -> Tensor:
            return torch.stack(list(self._terms(number, sample).values())).sum()

        self.findings = right_gradients(self.model, loss, self.device, self.precision, known)
        return self.findings

    def epoch(
        self,
        number: int,
        epoch: int,
        passes: Iterator[Sample],
        sampler: EpochSampler,
        told: Callable[[float], None],
    ) -> dict[str, float]:
        """Return the mean of each term of the loss over the steps of an epoch; ``told`` is given
        the loss of each step."""
        rate = self._rate(number, sampler.steps)
        totals: dict[str, float] = {}
        done = 0
        while batch := list(itertools.islice(passes, len(sampler.sizes))):
            factor = rate(epoch + done / sampler.steps)
            for group in self.optimiser.param_groups:
                group["lr"] = group["base"] * factor
            terms = self._step(number, batch, sampler.sizes)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + value
            done += 1
            told(sum(terms.values()))
        return {name: value / done for name, value in totals.items()}

    def _rate(self, number: int, steps: int) -> Callable[[float], float]:
        """Return the factor of the learning rate by the epochs of a phase that are done: along the
        schedule of the phases that share an optimiser."""
        members = self.course.joined(number)
        unit = 1 if self.course.recipe.iterations is None else steps
        before = sum(self.course.length(member) for member in members if member < number) / unit
        whole = sum(self.course.length(member) for member in members) / unit
        schedule = self.course.recipe_of(members[0]).schedule
        own = self.course.phases[number].learning_rate
        return lambda done: own * rate_factor(schedule, before + done, whole, steps)

    def _step(self, number: int, passes: list[Sample], sizes: Sequence[int]) -> dict[str, float]:
        """Take one step of the optimiser from one or more passes of ``sizes`` images over all
        processes; the loss's terms."""
        optimiser = self.optimiser
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
        if clip := self.course.recipe_of(number).clip:
            nn.utils.clip_grad_norm_(members, clip)
        self.scaler.step(optimiser)
        self.scaler.update()
        means = sum_over_processes(torch.stack(list(sums.values()))) / self.world.size
        values = dict(zip(sums, means.tolist(), strict=True))
        if not math.isfinite(sum(values.values())):
            doubt = self.findings.doubt(self.precision)
            remedy = f"{doubt}; or resume" if doubt else "resume"
            raise UsageError(f"training diverged: the loss is {values}; {remedy} with a lower --lr")
        return values

    def _terms(self, number: int, sample: Sample) -> dict[str, Tensor]:
        """Return the terms of the loss of one pass on this process."""
        even = self.course.recipe_of(number).class_weights == "none"
        weights = torch.ones_like(self.class_weights) if even else self.class_weights
        batch = batch_of(sample, self.device, weights)
        with autocast(self.device, self.precision):
            return self.model.loss(self.course.phases[number], batch)
