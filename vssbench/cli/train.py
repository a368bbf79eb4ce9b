"""``bench.py train``: train a method on a dataset."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vssbench.cli.options import (
    SIZE,
    Finite,
    Whole,
    data_root_option,
    device_option,
    force_option,
    part_size_option,
)

if TYPE_CHECKING:
    from vssbench.core.segmenter import Phase
    from vssbench.core.variant import Variant
    from vssbench.training.options import Options
    from vssbench.training.recipe import Recipe


@click.command()
@click.argument("method")
@click.option("-d", "--dataset", required=True, help="Dataset to train on.")
@data_root_option
@click.option(
    "--recipe",
    default="short",
    show_default=True,
    metavar="NAME",
    help="paper (as published), short (minutes on a CPU), or another that the method has.",
)
@click.option("--show", is_flag=True, help="Print the recipe, with everything settled, and stop.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Weight file to write (.safetensors).",
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint beside --out.")
@click.option(
    "--init",
    "initial",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Start from these weights; AR-Seg takes its branches from per-frame networks.",
)
@click.option(
    "--phase",
    "phases",
    multiple=True,
    metavar="NAME",
    help="Run this phase, whatever --init replaces; all that it leaves by default. Repeatable.",
)
@click.option(
    "--minutes",
    type=Finite(0, min_open=True),
    help="Stop after so many minutes, at the end of an epoch; --resume goes on.",
)
@click.option("--epochs", type=Whole(1), help="Epochs of the main phase, instead of the recipe's.")
@click.option("--iterations", type=Whole(1), help="Steps of the main phase, instead of epochs.")
@click.option(
    "--batch",
    type=Whole(1),
    help="Images a pass, over all processes, instead of the recipe's.",
)
@click.option(
    "--accumulate",
    type=Whole(1),
    default=1,
    show_default=True,
    help="Passes a step: the gradient of a batch so many times as large.",
)
@click.option(
    "--crop", type=SIZE, metavar="HxW", help="Training crop in pixels, instead of the recipe's."
)
@click.option(
    "--lr",
    "learning_rate",
    type=Finite(0, min_open=True),
    help="Peak learning rate, instead of the recipe's.",
)
@click.option(
    "-c",
    "--codec",
    "codecs",
    multiple=True,
    help="Codec of training pairs, instead of the recipe's; several are taken in turn.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "fp16"]),
    help="Arithmetic of the network, instead of the recipe's; fp16 on CUDA alone.",
)
@click.option(
    "--validate-every",
    type=Whole(0),
    metavar="N",
    help="Judge the state on held-out clips every N epochs, instead of the recipe's; 0 is never.",
)
@click.option(
    "--all-training-data",
    is_flag=True,
    help="Hold nothing out and validate never, as --validate-every 0.",
)
@click.option(
    "--select",
    type=click.Choice(["best", "last"]),
    help="State that a phase ends with: the best on the held-out clips, or the last.",
)
@click.option(
    "--frames",
    type=Whole(1),
    help="Frames an epoch, and a validation, at most; all by default.",
)
@part_size_option
@click.option(
    "--workers",
    type=Whole(0),
    default=1,
    show_default=True,
    help="Processes that load data.",
)
@click.option(
    "--memory",
    type=Finite(0, min_open=True),
    default=4.0,
    show_default=True,
    metavar="GIB",
    help="Memory for data that are kept or wait, all processes of this machine together.",
)
@click.option(
    "--frame-folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep training frames here, raw: drawn ones of synthetic take minutes at every start.",
)
@click.option("--seed", type=Whole(0), default=0, show_default=True)
@force_option
@device_option
def train(
    method: str,
    dataset: str,
    data_root: Path | None,
    show: bool,
    out: Path | None,
    resume: bool,
    force: bool,
    **given: Any,
) -> None:
    """Train METHOD and write its weights.

    For example:

    \b
        python bench.py train 'pspnet[width=0.5]' -d camvid --data-root ~/CamVid --epochs 60
        python bench.py train arseg -d camvid --data-root ~/CamVid --recipe paper --device cuda
        torchrun --nproc-per-node 4 bench.py train arseg -d camvid --data-root ~/CamVid \\
            --recipe paper --device cuda
    """
    from vssbench.cli.options import check_device, open_dataset
    from vssbench.core.errors import DataError, OutOfMemory, UsageError
    from vssbench.core.opening import roots
    from vssbench.core.progress import messages
    from vssbench.core.shortage import shortage
    from vssbench.core.variant import parse_variant
    from vssbench.training.checkpoint import check_beside, checkpoint_path
    from vssbench.training.distributed import join, leave
    from vssbench.training.stages import Assignment, train_in_stages
    from vssbench.weights.writing import check_output

    options = _options(**given)
    variant, dataset_variant = parse_variant(method), parse_variant(dataset)
    if options.epochs and options.iterations:
        raise UsageError("--epochs and --iterations exclude each other: give one")
    if show:
        click.echo(describe_recipe(variant, dataset_variant, options))
        return
    check_device(options.device)
    target = out or Path("checkpoints") / f"{variant.name}-{dataset_variant.name}.safetensors"
    inputs = (*options.initial, *roots(dataset_variant, data_root))
    opened = open_dataset(dataset_variant, data_root)
    check_output(target, inputs, force, "--out")
    check_beside(target, inputs, force or resume)
    world, device = join(options.device)
    what = Assignment(variant, dataset_variant, opened, replace(options, device=device), target)
    try:
        for path in train_in_stages(what, world, resume):
            messages().print(f"wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")
            click.echo(path)
    except KeyboardInterrupt as error:
        error.add_note(_kept(target))
        raise
    except DataError as error:
        if not checkpoint_path(target).exists():
            raise
        raise DataError(f"{error}; {_kept(target)}") from error
    except Exception as error:
        if said := shortage(error):
            raise OutOfMemory(f"{said}; {_kept(target)}") from error
        raise
    leave()


def _kept(target: Path) -> str:
    """Say what an interrupted training leaves, and how to go on."""
    from vssbench.training.checkpoint import checkpoint_path

    # of a training in stages each has its own, as NAME-keep0.75.safetensors.checkpoint
    ending = checkpoint_path(target).name.removeprefix(target.stem)
    own = re.compile(rf"{re.escape(target.stem)}(-[a-z_]+[\d.]+)?{re.escape(ending)}")
    there = sorted(path for path in target.parent.glob("*") if own.fullmatch(path.name))
    if not there:
        return "no epoch was at its end, and nothing is kept; the same command begins anew"
    return f"{there[-1]} has all epochs but the last; the same command with --resume goes on"


def _options(all_training_data: bool, **given: Any) -> Options:
    """Return how to train, as the options say. Raises UsageError where they exclude each other."""
    from vssbench.core.errors import UsageError
    from vssbench.report.curves import draw_curves
    from vssbench.training.options import Options

    options = Options(**given, curves=draw_curves)
    if not all_training_data:
        return options
    if options.validate_every or options.select == "best":
        raise UsageError(
            "--all-training-data holds nothing out: leave out --validate-every and --select best"
        )
    return replace(options, validate_every=0)


def describe_recipe(variant: Variant, dataset: Variant, options: Options) -> str:
    """Return the recipe with everything settled, one value a line as in its file, and the phases
    that it makes."""
    import torch

    from vssbench.core import registry
    from vssbench.training.notes import notes
    from vssbench.training.recipe import load_recipe, with_parameters
    from vssbench.training.stages import stage_variants

    recipe = load_recipe(variant, dataset.name, options.recipe, options.overrides())
    settled = with_parameters(variant, recipe)
    stages = stage_variants(settled, recipe)
    classes = registry.load("methods", variant.name).minimum_classes
    with torch.device("meta"):  # shapes alone, in no time and no memory
        model = [registry.create("methods", stage, classes=classes) for stage in stages][-1]
    lines = [f"{settled} on {dataset.name}, recipe {recipe.name}"]
    lines += [
        f"{key} = {value}" for key, value in recipe.flat().items() if not key.startswith("phases.")
    ]
    lines += [_describe_phase(phase, recipe) for phase in model.phases()]
    if len(stages) > 1:
        lines += [
            f"stage {number}: {stage}, all of the above" for number, stage in enumerate(stages, 1)
        ]
    return "\n".join([*lines, *notes(recipe, settled, model, bool(options.initial))])


def _describe_phase(phase: Phase, recipe: Recipe) -> str:
    own = recipe.of(phase.name)
    share = phase.share if own.share is None else own.share
    unit, length = (
        ("epochs", recipe.epochs)
        if recipe.epochs is not None
        else ("iterations", recipe.iterations or 0)
    )
    gaps = (own.gaps or phase.gaps) if phase.data != "stills" else None
    parts = [
        phase.data + (f" {gaps[0]} to {gaps[1]} frames apart" if gaps else ""),
        f"{round(length * share)} {unit}",
        f"batch {own.batch}",
        f"{own.optimiser.kind} at {own.optimiser.learning_rate * phase.learning_rate:g}",
        f"goes on from {own.continues}" if own.continues else "",
        *(f"keeps the {name} of --init" for name in own.frozen),
        *(f"keeps the batch normalisation in {name} of --init" for name in own.frozen_batch_norm),
    ]
    return f"phase {phase.name}: {', '.join(filter(None, parts))}"
