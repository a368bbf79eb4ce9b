"""Puts a method into its fast form for inference: same outputs, less work.

Batch norm is folded into the convolution before it, weights and features become channels-last,
convolutions of upsampled or pooled features are done where those are small
(:mod:`vssbench.fast.upsampled_conv`, :mod:`vssbench.fast.pooled_conv`).

Which batch norm follows which convolution is not read from a module's structure but seen while the
method works on a small image, and the result is compared with that of the method as it was, so that
a method from elsewhere is safe too.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vssbench import native
from vssbench.core.segmenter import FastForm, VideoSegmenter
from vssbench.core.uncompiled import uncompiled
from vssbench.fast.pooled_conv import PooledConv
from vssbench.fast.upsampled_conv import PANEL, UpsampledConv
from vssbench.nets.pspnet import NormalisedPooling, PyramidPooling, SemsegPSPNet, UpsampleStage

log = logging.getLogger(__name__)

#: the image on which a method is watched and compared, as small as any network here takes
PROBE = (64, 96)
#: the largest difference of a correct change, as a share of the largest output: rounding makes
#: 1e-6, but where a softmax of large scores follows it may grow a hundredfold
TOLERANCE = 1e-3

#: takes a change back
Undo = Callable[[], None]


def prepare(model: nn.Module, probe: Callable[[], Any] | None = None) -> nn.Module:
    """Return the model in evaluation mode and in its fast form, changed in place; its outputs stay
    the same but for rounding.

    ``probe`` runs the model once and returns its outputs; a :class:`VideoSegmenter` needs none. The
    weights' names and values change: a prepared model serves inference alone, and is not to be
    saved.
    """
    model.eval().requires_grad_(False)
    if probe is None and isinstance(model, VideoSegmenter):
        probe = _segmenter_probe(model)
    if probe is not None:
        for change in (fold_batch_norms, _fast_stages):
            _apply(model, probe, change)
    return model.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _segmenter_probe(model: VideoSegmenter) -> Callable[[], Any]:
    """Return a keyframe and a later frame of noise, each time the same."""
    place = next((tensor for tensor in model.parameters()), model.mean)

    def probe() -> Any:
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(2, 1, 3, *PROBE, generator=generator).to(place)
        motion = (4 * torch.randn(1, 2, *PROBE, generator=generator)).to(place)
        logits, reference = model.begin(images[0])
        return logits, reference, model.follow(images[1], motion, reference)

    return probe


def _apply(
    model: nn.Module,
    probe: Callable[[], Any],
    change: Callable[[nn.Module, Callable[[], Any]], list[Undo]],
) -> None:
    """Make a change, and take it back if the outputs are not the same."""
    undo: list[Undo] = []
    try:
        with torch.no_grad():
            expected = _outputs(probe)
            undo = change(model, probe)
            if not undo or _close(_outputs(probe), expected):
                return
        reason = "its outputs would differ"
    except (
        Exception
    ) as error:  # a method from elsewhere may do anything; it then runs as it was written
        reason = f"{type(error).__name__}: {error}"
    for step in reversed(undo):
        step()
    log.warning(
        "%s runs without %s: %s",
        type(model).__name__,
        change.__name__.strip("_").replace("_", " "),
        reason,
    )


def _outputs(probe: Callable[[], Any]) -> list[Tensor]:
    return [
        leaf.detach().float().clone() for leaf in tree_leaves(probe()) if isinstance(leaf, Tensor)
    ]


def _close(found: list[Tensor], expected: list[Tensor]) -> bool:
    return len(found) == len(expected) and all(
        a.shape == b.shape
        and bool((a - b).abs().max() <= TOLERANCE * b.abs().max().clamp_min(1e-6))
        for a, b in zip(found, expected, strict=True)
    )


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> Undo:
    """Put a module into another's place, under all its names."""
    places = [
        (parent, name)
        for parent in model.modules()
        for name, child in parent._modules.items()
        if child is old
    ]
    for parent, name in places:
        setattr(parent, name, new)

    def undo() -> None:
        for parent, name in places:
            setattr(parent, name, old)

    return undo


def fold_batch_norms(model: nn.Module, probe: Callable[[], Any]) -> list[Undo]:
    """Fold each batch norm into the convolution before it, where nothing else sees that
    convolution's output or weights."""
    undo = []
    for convolution, norm in _foldable_pairs(model, probe):
        weight, bias = folded(convolution, norm)
        undo.append(
            _set_parameters(convolution, nn.Parameter(weight, False), nn.Parameter(bias, False))
        )
        undo.append(_replace(model, norm, nn.Identity()))
    return undo


def _set_parameters(convolution: nn.Conv2d, weight: nn.Parameter, bias: nn.Parameter) -> Undo:
    before = (convolution.weight, convolution.bias)
    convolution.weight, convolution.bias = weight, bias

    def undo() -> None:
        convolution.weight, convolution.bias = before

    return undo


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution followed by the batch norm, computed in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight = convolution.weight.detach()
    gain = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        gain = gain * norm.weight.detach().double()
    bias = -norm.running_mean.double()
    if convolution.bias is not None:
        bias = bias + convolution.bias.detach().double()
    bias = bias * gain
    if norm.bias is not None:
        bias = bias + norm.bias.detach().double()
    return (weight.double() * gain.view(-1, 1, 1, 1)).to(weight.dtype), bias.to(weight.dtype)


def _foldable_pairs(
    model: nn.Module, probe: Callable[[], Any]
) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    watch = _Watch()
    with watch.attached(model), watch:
        returned = probe()
    outside = watch.used_outside | {
        _memory(leaf) for leaf in tree_leaves(returned) if isinstance(leaf, Tensor)
    }
    owners = Counter(id(p) for module in model.modules() for p in module.parameters(recurse=False))
    pairs = []
    for convolution, outputs in watch.outputs.items():
        norms = {watch.norm_of.get(_memory(output)) for output in outputs}
        norm = norms.pop() if len(norms) == 1 else None
        if norm is None or watch.norm_calls[norm] != len(outputs):
            continue
        seen = {_memory(tensor) for tensor in (*outputs, *convolution.parameters())}
        alone = all(owners[id(p)] == 1 for p in convolution.parameters())
        if alone and not seen & outside:
            pairs.append((convolution, norm))
    return pairs


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


@uncompiled
class _Watch(TorchDispatchMode):
    """Sees which convolution's output goes into which batch norm, and whose output or weights are
    used in another place."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[nn.Conv2d, list[Tensor]] = defaultdict(list)
        self.kept: list[Tensor] = []  # all that was seen, so that no memory is given out twice
        self.norm_of: dict[int, nn.BatchNorm2d] = {}
        self.norm_calls: Counter[nn.BatchNorm2d] = Counter()
        self.used_outside: set[int] = set()
        self._inside: list[set[int]] = []  # of the modules at work: what they may use

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        allowed = self._inside[-1] if self._inside else set()
        for leaf in tree_leaves((args, kwargs or {})):
            if isinstance(leaf, Tensor):
                self.kept.append(leaf)
                if _memory(leaf) not in allowed:
                    self.used_outside.add(_memory(leaf))
        return func(*args, **(kwargs or {}))

    @contextmanager
    def attached(self, model: nn.Module) -> Iterator[None]:
        handles = []
        for module in model.modules():
            if (
                type(module) not in (nn.Conv2d, nn.BatchNorm2d)
                or module._forward_hooks
                or module._forward_pre_hooks
            ):
                continue
            if isinstance(module, nn.BatchNorm2d) and module.running_mean is None:
                continue
            handles.append(module.register_forward_pre_hook(self._enter))
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._inside.append({_memory(parameter) for parameter in module.parameters()})
        if isinstance(module, nn.BatchNorm2d):
            self.norm_of[_memory(inputs[0])] = module
            self.norm_calls[module] += 1
            self._inside[-1].add(_memory(inputs[0]))
        elif _memory(inputs[0]) in {
            _memory(output) for outputs in self.outputs.values() for output in outputs
        }:
            self.used_outside.add(_memory(inputs[0]))

    def _leave(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._inside.pop()
        if isinstance(module, nn.Conv2d):
            self.outputs[module].append(output)


def _fast_stages(model: nn.Module, probe: Callable[[], Any]) -> list[Undo]:
    """Put each module into the fast form that is declared for its type; it follows
    :func:`fold_batch_norms`."""
    undo = []
    forms = _fast_forms(model)
    for module in list(model.modules()):
        for form in forms:
            if isinstance(module, form.module):
                for old, new in form.change(module).items():
                    undo.append(_replace(model, old, new))
                break
    return undo


def _fast_forms(model: nn.Module) -> tuple[FastForm, ...]:
    """Return the forms of the networks that methods share, and those of the methods inside the
    model, which come first."""
    own = [
        form
        for part in model.modules()
        if isinstance(part, VideoSegmenter)
        for form in part.fast_forms
    ]
    return (*dict.fromkeys(own), *SHARED)


def _fast_upsampling(stage: UpsampleStage) -> dict[nn.Module, nn.Module]:
    """Convolve before the upsampling, where that gains anything.

    Narrow test networks gain nothing, and without the compiled kernel the plain form is faster.
    """
    on_cpu = stage.conv.weight.device.type == "cpu"
    if not (on_cpu and stage.conv.out_channels % PANEL == 0 and native.available()):
        return {}
    return {stage: UpsampledConv(_folded_stage(stage), stage.act.weight)}


def _folded_stage(stage: UpsampleStage) -> nn.Conv2d:
    """Return the stage's convolution, with its batch norm where that is not folded yet."""
    if isinstance(stage.bn, nn.BatchNorm2d):
        weight, bias = folded(stage.conv, stage.bn)
        _set_parameters(stage.conv, nn.Parameter(weight, False), nn.Parameter(bias, False))
    return stage.conv


def _fast_pooling(pyramid: PyramidPooling) -> dict[nn.Module, nn.Module]:
    fast = PooledConv(pyramid.stages, pyramid.bottleneck, first=False, align_corners=False)
    return {pyramid: nn.Sequential(fast, nn.ReLU(inplace=True))}


def _fast_semseg(network: SemsegPSPNet) -> dict[nn.Module, nn.Module]:
    pooled, convolution = network.psp, network.head[0]
    if not isinstance(pooled, NormalisedPooling) or not isinstance(convolution, nn.Conv2d):
        return {}
    fast = PooledConv(pooled.stages, convolution, first=True, align_corners=pooled.align_corners)
    return {pooled: nn.Identity(), convolution: fast}


#: PSPNet's stages by what commutes with bilinear upsampling: parts of several methods
SHARED = (
    FastForm(UpsampleStage, _fast_upsampling),
    FastForm(PyramidPooling, _fast_pooling),
    FastForm(SemsegPSPNet, _fast_semseg),
)
