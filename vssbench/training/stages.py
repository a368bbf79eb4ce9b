"""Trainings in stages: a parameter of the method takes values in turn, one training for each.

Each starts from the weights of the one before. ICNet's compression is one: the whole network is
trained, pruned to three quarters of its filters, trained again, pruned to half, and trained again.
A recipe names the parameter and its values as ``stages``; a recipe without them has one stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vssbench.core import registry
from vssbench.core.dataset import Dataset
from vssbench.core.errors import UsageError
from vssbench.core.variant import Variant, format_value
from vssbench.training.distributed import World
from vssbench.training.loop import Trainer
from vssbench.training.options import Options
from vssbench.training.recipe import Recipe, load_recipe, with_parameters
from vssbench.weights.file import open_weights


@dataclass(frozen=True)
class Assignment:
    """A training that was asked for: method, dataset, options, and the weight file to write."""

    variant: Variant
    dataset_variant: Variant
    dataset: Dataset
    options: Options
    out: Path


def stage_variants(variant: Variant, recipe: Recipe) -> list[Variant]:
    """Return the variant of every stage, in order; the last is the one that was asked for.

    Raises UsageError where the variant's value of the parameter is none of the recipe's.
    """
    if not recipe.stages:
        return [variant]
    ((parameter, values),) = recipe.stages.items()
    own = registry.resolved("methods", with_parameters(variant, recipe)).get(parameter)
    if own is None:
        raise UsageError(
            f"recipe {recipe.name!r} has stages of {parameter}, and {variant.name} has no such "
            "parameter: choose another recipe"
        )
    if own not in values:
        listed = ", ".join(map(format_value, values))
        raise UsageError(
            f"recipe {recipe.name!r} of {variant.name} has stages of {parameter}={listed}, and "
            f"{parameter}={format_value(own)} is none of them: choose one of them, or train from a "
            "file with --init FILE"
        )
    before = [{**variant.params, parameter: value} for value in values[: values.index(own)]]
    return [*(Variant(variant.name, params) for params in before), variant]


def stage_paths(out: Path, recipe: Recipe, stages: list[Variant]) -> list[Path]:
    """Return the weight file of every stage: ``NAME-keep0.75.safetensors`` before ``NAME``'s
    own."""
    parameter = next(iter(recipe.stages), "")
    values = [format_value(stage.params[parameter]) for stage in stages[:-1]]
    return [*(out.with_name(f"{out.stem}-{parameter}{value}{out.suffix}") for value in values), out]


def train_in_stages(
    what: Assignment,
    world: World | None = None,
    resume: bool = False,
) -> Iterator[Path]:
    """Train one stage after the other; yields the paths of the weights as they are written.

    A training that is resumed leaves out the stages that are finished, and goes on with the first
    that is not.
    """
    options, dataset = what.options, what.dataset_variant.name
    recipe = load_recipe(what.variant, dataset, options.recipe, options.overrides())
    stages = stage_variants(what.variant, recipe)
    paths = stage_paths(what.out, recipe, stages)
    for number, (stage, path) in enumerate(zip(stages, paths, strict=True)):
        if number:
            options = replace(options, initial=(paths[number - 1],))
        trainer = Trainer(stage, what.dataset_variant, what.dataset, options, path, world)
        if resume and path != what.out and is_finished(trainer):
            trainer.console.print(f"{stage}: already trained, {path}")
            continue
        # a stage that the training never came to is begun, though the training is resumed
        begun = number == 0 or trainer.checkpoint_path.is_file() or is_finished(trainer)
        yield from trainer.run(resume and begun)
        resume = False


def is_finished(trainer: Trainer) -> bool:
    """Return whether the weights of this very training are written."""
    if not trainer.out.is_file() or trainer.checkpoint_path.is_file():
        return False
    return open_weights(trainer.out).training.get("options") == trainer.identity()
