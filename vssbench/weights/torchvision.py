"""torchvision's ImageNet ResNets as the backbones of our methods: the start of a training, not a
whole method."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from vssbench.core.segmenter import VideoSegmenter
from vssbench.nets.resnet import BLOCKS, ResNet
from vssbench.weights.original import ALWAYS_UNUSED, State

SOURCE = "pytorch/vision, torchvision.models.resnet"

_NAMES = re.compile(r"(conv1\.weight|bn1\.|layer[1-4]\.\d+\.|fc\.)")
_MARKS = ("conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight")
_CLASSIFIER = "the classifier of ImageNet's classes, which no segmentation network has"


def is_backbone(state: State) -> bool:
    """Return whether a checkpoint is a ResNet with torchvision's names.

    It may have its classifier or not.
    """
    return all(mark in state for mark in _MARKS) and all(_NAMES.match(name) for name in state)


def backbone_entries(
    model: VideoSegmenter, state: State
) -> tuple[dict[str, Tensor], list[tuple[str, str]]]:
    """Select a method's entries of a ResNet: (our name -> tensor, [(name left out, reason)]).

    Every ResNet of the method that has the file's depth and torchvision's width takes all that it
    has a place for: AR-Seg's two branches take the same entries. Where no ResNet fits, the first
    part is empty and the reasons say why.
    """
    backbones = {
        name: module for name, module in model.named_modules() if isinstance(module, ResNet)
    }
    misfits = {name: _misfit(module, state) for name, module in backbones.items()}
    fitting = {name: backbones[name] for name, reason in misfits.items() if reason is None}
    used: dict[str, Tensor] = {}
    unused: list[tuple[str, str]] = []
    expected = {name: module.state_dict() for name, module in fitting.items()}
    if fitting:
        general = None
    else:
        reasons = [reason for reason in misfits.values() if reason is not None]
        general = (
            "; ".join(dict.fromkeys(reasons)) or f"{model.display} has no ResNet as its backbone"
        )
    for key, value in state.items():
        reason = _never_used(key) or general
        places = [
            name
            for name, entries in expected.items()
            if key in entries and entries[key].shape == value.shape
        ]
        if reason is None and not places:
            reason = _no_place(key, value, next(iter(expected.values())))
        if reason is None:
            used |= {f"{name}.{key}": value for name in places}
        else:
            unused.append((key, reason))
    return used, unused


def _misfit(module: ResNet, state: State) -> str | None:
    """Tell why no entry of a file fits a ResNet.

    It is None where the ResNet has the file's blocks and channels.
    """
    stages = tuple(
        1 + max(int(key.split(".")[1]) for key in state if key.startswith(f"layer{n}."))
        for n in range(1, 5)
    )
    bottleneck = "layer1.0.conv3.weight" in state
    depths = [
        layers
        for layers, blocks in BLOCKS.items()
        if blocks == stages and (layers >= 50) == bottleneck
    ]
    if module.layers not in depths:
        held = (
            f"a ResNet-{depths[0]}"
            if depths
            else f"a ResNet of {', '.join(map(str, stages))} blocks"
        )
        return f"the file holds {held}, and the network's backbone is a ResNet-{module.layers}"
    last = "layer4.0.conv2.weight"
    if module.state_dict()[last].shape != state[last].shape:
        return f"the network's backbone has other channels than the file (width {module.width:g})"
    return None


def _never_used(key: str) -> str | None:
    if key.startswith("fc."):
        return _CLASSIFIER
    return next((reason for pattern, reason in ALWAYS_UNUSED if re.search(pattern, key)), None)


def _no_place(key: str, value: Tensor, expected: Mapping[str, Tensor]) -> str:
    """Tell why a backbone that fits otherwise has no place for an entry: its stem is another."""
    if key.startswith("conv1"):
        return "the network's stem is three 3x3 convolutions, not torchvision's 7x7"
    if key in expected:
        return (
            f"its shape is {tuple(value.shape)}, and the network's, behind another stem, "
            f"{tuple(expected[key].shape)}"
        )
    return "the network has no such layer"
