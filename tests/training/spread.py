"""Run by several processes in the tests of distributed training: ``python -m tests.training.spread
WHAT FILE``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from tests.conftest import Patterns
from vssbench.core.division import Division
from vssbench.core.errors import DataError
from vssbench.core.variant import Variant, parse_variant
from vssbench.methods.dff import DFF
from vssbench.nets.processes import largest_over_processes, mean_over_processes
from vssbench.training.distributed import (
    World,
    average_gradients,
    join,
    leave,
    same_everywhere,
    share_batch_norm,
)
from vssbench.training.loop import Trainer
from vssbench.training.options import Options
from vssbench.training.recipe import Optimiser, PhaseRecipe
from vssbench.training.samples import Stills
from vssbench.training.stages import Assignment, train_in_stages
from vssbench.training.validation import Setting, Validation

#: method, options beside the common ones, and class weights of the trainings that are compared
TRAININGS: dict[str, tuple[str, dict, str]] = {
    "weighted": ("icnet[width=0.125,backbone=resnet18]", {"recipe": "paper", "epochs": 3}, "enet"),
    "accumulated": ("icnet[width=0.125,backbone=resnet18]", {"batch": 4, "accumulate": 2}, "none"),
    "pairs": (
        "dff[width=0.125,backbone=resnet18,motion=codec]",
        {"epochs": 2, "codecs": ("h264[preset=superfast]",)},
        "none",
    ),
}


#: what stderr has before the name of each
BEGINS = "---- "


def small_network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 5, 1),
        nn.BatchNorm2d(5, momentum=None),
    ).double()


def images() -> tuple[torch.Tensor, torch.Tensor]:
    """Eight images and, of each of their pixels, a weight of 0, 1 or 2; the second half has far
    fewer above 0."""
    generator = torch.Generator().manual_seed(4)
    weights = torch.randint(0, 3, (8, 6, 6), generator=generator).float()
    weights[4:] *= torch.rand(4, 6, 6, generator=generator) < 0.2
    return torch.randn(8, 3, 8, 8, generator=generator).double(), weights.double()


def one_step(world: World) -> dict[str, torch.Tensor]:
    """Gradients, statistics and the loss of a weighted mean over the pixels of all processes'
    images."""
    network = small_network()
    if world.rank == 1:
        with torch.no_grad():
            network[0].weight.add_(1)  # as if it had begun from other weights
    same_everywhere(network)
    share_batch_norm(network)
    batch, weights = (
        x[world.rank * 8 // world.size : (world.rank + 1) * 8 // world.size] for x in images()
    )
    squares = network(batch).square().sum(1) * weights
    loss = squares.sum() / mean_over_processes(weights.sum())
    loss.backward()
    parameters = [*network.parameters(), nn.Parameter(torch.zeros(2))]
    average_gradients(parameters)
    found = {name: parameter.grad for name, parameter in network.named_parameters()}
    assert parameters[-1].grad is None
    statistics = dict(network.named_buffers())
    network.eval()
    return {
        **found,
        **statistics,
        "loss": mean_over_processes(loss.detach()),
        "third": largest_over_processes(squares.detach().flatten(), 3),
        "evaluated": network(images()[0]).detach(),
    }


def trained(case: str, out: Path, world: World) -> list[Path]:
    method, given, class_weights = TRAININGS[case]
    common = {
        "epochs": 3,
        "validate_every": 0,
        "batch": 8,
        "learning_rate": 0.002,
        "precision": "fp32",
        "workers": 0,
    }
    options = Options(**{**common, "crop": (48, 64), **given})
    dataset = Patterns(frames=5, clips=4)
    trainer = Trainer(parse_variant(method), Variant("patterns", {}), dataset, options, out, world)
    # not Adam, which makes a full step of a gradient that is nothing but rounding
    sgd = Optimiser(
        kind="sgd", learning_rate=trainer.recipe.common.optimiser.learning_rate, weight_decay=1e-4
    )
    common = trainer.recipe.common.model_copy(
        update={"class_weights": class_weights, "optimiser": sgd}
    )
    recipe = trainer.recipe.model_copy(update={"common": common})
    trainer.course = replace(trainer.course, recipe=recipe)
    for module in trainer.model.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0  # its random numbers are those of the process
    return trainer.run()


def held_out_scores(world: World) -> dict[str, float]:
    """Score an untrained DFF on held-out clips, in a phase of each kind."""
    torch.manual_seed(5)
    model = DFF(3, width=0.125, backbone="resnet18")
    dataset = Patterns(frames=3, clips=2)
    validation = Validation(
        Division([], dataset.training_clips(), ""), 3, Setting("cpu", world=world)
    )
    return {
        phase.name: validation.score(model, phase, PhaseRecipe(codecs=("raw",)))
        for phase in model.phases()
    }


def in_stages(out: Path, world: World) -> None:
    """Every process reads, for each stage, the file that the first one wrote."""
    options = Options(recipe="progressive", epochs=1, batch=8, crop=(48, 64), workers=0)
    variant = parse_variant("icnet[width=0.125,backbone=resnet18]")
    what = Assignment(variant, Variant("patterns", {}), Patterns(frames=5, clips=4), options, out)
    assert len(list(train_in_stages(what, world))) == (3 if world.main else 0)


def failing(out: Path, world: World) -> None:
    """The second process cannot read a frame of its part."""
    if world.rank == 1:

        def unreadable(self: Stills, position: tuple[int, int]) -> None:
            raise DataError("the file is gone")

        Stills.__getitem__ = unreadable  # type: ignore[method-assign, assignment]
    trained("weighted", out, world)


def tried(folder: Path, world: World) -> None:
    """Do all that is compared with one process, one after the other: processes take seconds to
    start. A line of stderr begins each."""
    for what in ("step", "validated", *TRAININGS, "stages"):
        if world.main:
            print(f"{BEGINS}{what}", file=sys.stderr, flush=True)
        if what in TRAININGS:
            trained(what, folder / f"{what}.safetensors", world)
        elif what == "stages":
            in_stages(folder / "stages.safetensors", world)
        else:
            result = one_step(world) if what == "step" else held_out_scores(world)
            if world.main:
                torch.save(result, folder / f"{what}.pt")


def main() -> None:
    torch.set_num_threads(1)
    what, place = sys.argv[1], Path(sys.argv[2])
    world, _ = join("cpu")
    {"tried": tried, "failing": failing}[what](place, world)
    leave()


if __name__ == "__main__":
    main()
