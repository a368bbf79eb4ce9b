"""Lines that a training says before it starts: where its recipe is not the authors', what it
lacks."""

from __future__ import annotations

from vssbench.core.program import program
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.variant import Variant
from vssbench.nets.resnet import ResNet
from vssbench.training.recipe import Recipe


def notes(recipe: Recipe, variant: Variant, model: VideoSegmenter, initialised: bool) -> list[str]:
    """Return lines for people: the recipe's departures, how the authors choose the checkpoint, and
    the start that ``--init`` has not given."""
    lines = [f"not as published: {departure}" for departure in recipe.departures]
    if recipe.selection:
        lines.append(f"the authors' checkpoint: {recipe.selection}")
    if recipe.initial and not initialised:
        lines += missing_start(recipe, variant, model)
    return lines


def missing_start(recipe: Recipe, variant: Variant, model: VideoSegmenter) -> list[str]:
    """Return what a recipe starts from, that it does not here, and the command that makes such a
    file."""
    return [
        f"recipe {recipe.name} starts from {recipe.initial}; without --init {variant} starts from "
        "random weights, and is not what the authors trained",
        _how(variant, model),
    ]


def _how(variant: Variant, model: VideoSegmenter) -> str:
    backbones = [module for module in model.modules() if isinstance(module, ResNet)]
    if not backbones:
        return f"no file of ImageNet weights fits {variant}: its backbone is no ResNet"
    narrow = next((module for module in backbones if module.width != 1), None)
    if narrow is not None:
        return (
            f"no file of ImageNet weights fits {variant}: its backbone has {narrow.width:g} times "
            f"the channels of a ResNet-{narrow.layers}; other weights of this project can be given "
            "by --init"
        )
    checkpoint = f"resnet{backbones[0].layers}.pth"
    target = f"{variant.name}-start.safetensors"
    return (
        f"ImageNet's backbone, from torchvision's checkpoint: {program()} weights import "
        f"'{variant}' {checkpoint} -o {target}; then add --init {target}"
    )
