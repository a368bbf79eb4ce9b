"""ICNet's compression: a trained network's weights with the weaker filters of its backbone removed.

The paper follows Li et al. ("Pruning filters for efficient convnets", ICLR 2017): the absolute
weights of every filter are summed, and the filters of the largest sums are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vssbench.core.errors import WeightsError
from vssbench.methods.icnet.network import PaperICNet
from vssbench.methods.icnet.units import CascadeFeatureFusion
from vssbench.nets.resnet import BasicBlock, Bottleneck, ResNet


@dataclass
class Channels:
    """One set of channels of the network, by the names of the layers that share it.

    ``producers`` are the convolutions whose filters make the channels: several where their outputs
    are added, so that a channel is kept or removed in all of them together. ``norms`` are their
    batch normalisations and ``consumers`` the convolutions that read the channels.
    """

    producers: list[str]
    norms: list[str]
    consumers: list[str] = field(default_factory=list)


def pruned(weights: Mapping[str, Tensor], network: PaperICNet) -> dict[str, Tensor]:
    """Return the weights of a wider network with as many filters left as ``network`` has.

    ``weights`` go by the names of ``network``'s own and are those of the same network with a larger
    ``keep``. Raises WeightsError where a layer is missing, or has fewer filters than are to be
    kept.
    """
    result = dict(weights)
    _check_layers(weights, network)
    for channels in pruned_channels(network):
        first = network.get_submodule(channels.producers[0])
        assert isinstance(first, nn.Conv2d)
        kept = strongest(
            [weights[f"{name}.weight"] for name in channels.producers], first.out_channels
        )
        for name in channels.producers:
            _select(result, f"{name}.weight", 0, kept)
        for name in channels.norms:
            for tensor in ("weight", "bias", "running_mean", "running_var"):
                _select(result, f"{name}.{tensor}", 0, kept)
        for name in channels.consumers:
            transposed = isinstance(network.get_submodule(name), nn.ConvTranspose2d)
            _select(result, f"{name}.weight", 0 if transposed else 1, kept)
    return result


def strongest(filters: Sequence[Tensor], count: int) -> Tensor:
    """Return the indices of the ``count`` filters of the largest L1 norm, in ascending order.

    ``filters`` are the weights (channels, ...) of every convolution whose outputs are added: their
    norms are added too. Of equal ones the first is kept.
    """
    sums = torch.stack([weight.double().abs().flatten(1).sum(1) for weight in filters]).sum(0)
    if count > len(sums):
        raise WeightsError(
            f"a layer of {len(sums)} filters cannot be pruned to {count}: start from weights of a "
            "larger keep"
        )
    return sums.argsort(descending=True, stable=True)[:count].sort().values


def pruned_channels(network: PaperICNet) -> list[Channels]:
    """Return every set of channels that ``keep`` narrows.

    They are those of the backbone, and that of the low branch's last convolution.
    """
    stem, sets = _stem_channels()
    outputs = [stem]
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        outputs.append(_stage_channels(network.backbone, stage, outputs[-1], sets))
    _, _, medium, _, deepest = outputs
    low = Channels(["reduce.0"], ["reduce.1"], ["fusion24.coarse.0"])
    deepest.consumers.append("reduce.0")
    medium.consumers.append("fusion24.fine.0")
    fusion = network.fusion24
    reads_low = isinstance(fusion, CascadeFeatureFusion) and not fusion.guide_projected
    if network.guidance24 is not None and reads_low:
        low.consumers.append("guidance24")
    return [*sets, low]


def _stem_channels() -> tuple[Channels, list[Channels]]:
    """Return the channels that leave the stem, and all of the stem's: three convolutions in a
    row."""
    first = Channels(["backbone.conv1.0"], ["backbone.conv1.1"], ["backbone.conv1.3"])
    second = Channels(["backbone.conv1.3"], ["backbone.conv1.4"], ["backbone.conv1.6"])
    third = Channels(["backbone.conv1.6"], ["backbone.bn1"])
    return third, [first, second, third]


def _stage_channels(
    backbone: ResNet, stage: str, inputs: Channels, sets: list[Channels]
) -> Channels:
    """Return the channels that leave a stage; a new sum's and those inside blocks are added to
    ``sets``.

    A block without a projection on its shortcut adds to the channels that it reads.
    """
    current = inputs
    for number, block in enumerate(backbone.get_submodule(stage).children()):
        assert isinstance(block, BasicBlock | Bottleneck)
        name = f"backbone.{stage}.{number}"
        last = 3 if isinstance(block, Bottleneck) else 2
        current.consumers.append(f"{name}.conv1")
        for inner in range(1, last):
            convolution, norm, reader = f"conv{inner}", f"bn{inner}", f"conv{inner + 1}"
            sets.append(
                Channels([f"{name}.{convolution}"], [f"{name}.{norm}"], [f"{name}.{reader}"])
            )
        if block.downsample is not None:
            current.consumers.append(f"{name}.downsample.0")
            current = Channels([f"{name}.downsample.0"], [f"{name}.downsample.1"])
            sets.append(current)
        current.producers.append(f"{name}.conv{last}")
        current.norms.append(f"{name}.bn{last}")
    return current


def _check_layers(weights: Mapping[str, Tensor], network: PaperICNet) -> None:
    """Raise WeightsError where the weights are not those of the same layers."""
    narrowed = tuple(f"{part}." for part in ("backbone", "reduce", "fusion24"))

    def layers(names: Mapping[str, Tensor]) -> set[str]:
        return {
            name
            for name in names
            if name.startswith(narrowed) and not name.endswith("num_batches_tracked")
        }

    apart = sorted(layers(weights) ^ layers(network.state_dict()))
    if apart:
        here, there = ("has", "lacks") if apart[0] in weights else ("lacks", "has")
        raise WeightsError(
            f"the file to start from {here} {apart[0]}, and the network to train {there} it: "
            "pruning takes a whole network of the same layers (a very small width leaves shortcuts "
            "without a projection: choose a larger one)"
        )


def _select(weights: dict[str, Tensor], name: str, axis: int, kept: Tensor) -> None:
    """Keep the given channels of one tensor; a classifier of the training alone may be absent."""
    if name in weights:
        weights[name] = weights[name].index_select(axis, kept)
