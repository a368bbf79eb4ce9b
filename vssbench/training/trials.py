"""Trials of layers: the gradients of each as trained, against its own in fp32 and NCHW."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from vssbench.nets.processes import sum_over_processes
from vssbench.training.calls import Call, Layer
from vssbench.training.kept import Kept, is_float

#: runs of each layer: memory that was never written holds the right value now and then
RUNS = 3
#: what rounding may do to a gradient: the cosine with the exact one, and the largest error in units
#: of its root mean square
COSINE = 0.97
LARGEST_ERROR = 0.25
#: buffers larger than this are not poisoned: fresh pages of the system hold zeros whatever was
#: freed before
POISON_BYTES = 2**26


@dataclass
class _Draw:
    """Random arguments of a call, the gradients of its outputs, and the gradients that follow:
    exact, and as trained."""

    values: list[Tensor]
    outer: list[Tensor]
    exact: list[Tensor]
    found: list[list[Tensor]] = field(default_factory=list)

    def few(self) -> bool:
        """Return whether a gradient has so few values that all may be near zero by chance."""
        return any(gradient.numel() < 8 for gradient in self.exact)


@dataclass
class Trials:
    """Trials of layers in the form that they have at the time."""

    layers: list[Layer]
    device: str
    precision: str

    def trial(self, chosen: Iterable[int] | None = None) -> list[int]:
        """Return for each layer 0 where it is right (or not chosen), 1 where its gradient is wrong,
        2 where it cannot be run."""
        states = [0] * len(self.layers)
        seen: dict[Any, int] = {}
        for n in range(len(self.layers)) if chosen is None else chosen:
            layer = self.layers[n]
            key = layer.key()
            if key not in seen:
                seen[key] = self._state(layer)
            states[n] = seen[key]
        return states

    def agreed(self, states: list[int]) -> list[int]:
        """Return the worst that any process found: all train a layer in the same form."""
        counts = torch.tensor(
            [[float(s == 1), float(s > 1)] for s in states], device=self.device
        ).reshape(-1, 2)
        totals = sum_over_processes(counts).tolist()
        return [2 if unknown else int(wrong > 0) for wrong, unknown in totals]

    def _state(self, layer: Layer) -> int:
        try:
            return int(any(self._wrong(layer, call) for call in layer.calls.values()))
        except Exception:  # anyone's module, outside its network: whatever it raises, no verdict
            return 2

    def _wrong(self, layer: Layer, call: Call) -> bool:
        draws: list[_Draw] = []
        for run in range(RUNS):
            if not draws or draws[0].few():  # a mean over so few values is no scale by itself
                torch.manual_seed(run)
                values = [given.draw() for given in call.inputs()]
                outer: list[Tensor] = []
                draws.append(_Draw(values, outer, self._exact(layer, call, values, outer)))
            as_trained = self._as_trained(layer, call, draws[-1].values, draws[-1].outer)
            if any(not bool(gradient.isfinite().all()) for gradient in as_trained):
                return True
            draws[-1].found.append(as_trained)
        compared = len(draws[0].exact) - (1 if _cancels(layer.module, call) else 0)
        scales = [_scale([draw.exact[n] for draw in draws]) for n in range(compared)]
        for draw in draws:
            if any(_differ(as_trained, draw.exact, scales) for as_trained in draw.found):
                # not wrong where rounding the arguments does as much
                rough = [value * (1 + 2**-8 * torch.randn_like(value)) for value in draw.values]
                if not _differ(self._exact(layer, call, rough, draw.outer), draw.exact, scales):
                    return True
        return False

    def _exact(
        self, layer: Layer, call: Call, values: list[Tensor], outer: list[Tensor]
    ) -> list[Tensor]:
        kept = {
            module: type(module) for module in layer.module.modules() if isinstance(module, Kept)
        }
        stored = [(parameter, parameter.data) for parameter in layer.module.parameters()]
        try:
            for module in kept:
                module.__class__ = module.plain  # type: ignore[assignment]
            for parameter, data in stored:
                parameter.data = data.contiguous()
            return self._gradients(layer, call, values, outer, False)
        finally:
            for module, kind in kept.items():
                module.__class__ = kind
            for parameter, data in stored:
                parameter.data = data

    def _as_trained(
        self, layer: Layer, call: Call, values: list[Tensor], outer: list[Tensor]
    ) -> list[Tensor]:
        seen = [given.as_seen(value) for given, value in zip(call.inputs(), values, strict=True)]
        with _unwritten_is_nan(layer.module, self.device):
            return self._gradients(layer, call, seen, outer, call.autocast)

    def _gradients(
        self, layer: Layer, call: Call, values: list[Tensor], outer: list[Tensor], autocast: bool
    ) -> list[Tensor]:
        """Return gradients of a run: of the layer's parameters, then of its arguments. ``outer`` is
        filled by the first run."""
        leaves = [
            v.detach().requires_grad_(c.differentiable)
            for v, c in zip(values, call.inputs(), strict=True)
        ]
        kind = torch.float16 if self.precision == "fp16" else torch.bfloat16
        torch.manual_seed(0)  # of a layer that drops something
        with (
            torch.enable_grad(),
            torch.autocast(self.device.split(":")[0], dtype=kind, enabled=autocast),
        ):
            # clones: a layer may work in place
            args, kwargs = call.filled(
                [leaf.clone() if leaf.requires_grad else leaf for leaf in leaves]
            )
            results = [
                x
                for x in tree_flatten(layer.module(*args, **kwargs))[0]
                if is_float(x) and x.requires_grad
            ]
        if not outer:
            # small, for the range of fp16; exact in every type
            outer.extend(
                (torch.randn(x.shape, device=x.device) / 16).to(torch.bfloat16).float()
                for x in results
            )
        given = [torch.empty_like(x).copy_(g) for x, g in zip(results, outer, strict=True)]
        _poison(layer.module, self.device)
        wanted = [
            *(p for p in layer.parameters if p.requires_grad),
            *(leaf for leaf in leaves if leaf.requires_grad),
        ]
        gradients = torch.autograd.grad(results, wanted, given, allow_unused=True)
        return [
            torch.zeros_like(w) if g is None else g.float()
            for g, w in zip(gradients, wanted, strict=True)
        ]


def _cancels(module: nn.Module, call: Call) -> bool:
    """Return whether the gradient of a layer's input is nothing but rounding: two values are
    normalised to 1 and -1."""
    if not (isinstance(module, nn.modules.batchnorm._NormBase) and module.training):
        return False
    given = call.inputs()[0]
    each = (
        given.shape[2:]
        if isinstance(module, nn.modules.instancenorm._InstanceNorm)
        else (given.shape[0], *given.shape[2:])
    )
    return given.differentiable and math.prod(each) <= 2


def _scale(gradients: list[Tensor]) -> float:
    return float(
        torch.stack(
            [g.double().square().mean() if g.numel() else g.new_zeros(()) for g in gradients]
        )
        .mean()
        .sqrt()
    )


def _differ(gradients: list[Tensor], exact: list[Tensor], scales: list[float]) -> bool:
    """Return whether any gradient is further from the exact one than rounding takes it."""
    # the last has no scale where it is not to be compared
    for gradient, right, scale in zip(gradients, exact, scales, strict=False):
        if not gradient.numel():
            continue
        if float((gradient - right).abs().max()) > LARGEST_ERROR * scale:
            return True
        product = float(gradient.norm() * right.norm())
        if gradient.numel() > 1 and product and float((gradient * right).sum()) < COSINE * product:
            return True
    return False


@contextmanager
def _unwritten_is_nan(module: nn.Module, device: str) -> Iterator[None]:
    """Fill torch's new tensors with NaN until they are written; on a CPU alone, where this changes
    no kernel."""
    if device.startswith("cuda"):
        yield
        return
    settings: Any = torch.utils.deterministic
    mode, fill = torch.get_deterministic_debug_mode(), settings.fill_uninitialized_memory
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operations that have no deterministic form
        try:
            torch.use_deterministic_algorithms(True, warn_only=True)
            settings.fill_uninitialized_memory = True
            yield
        finally:
            torch.set_deterministic_debug_mode(mode)
            settings.fill_uninitialized_memory = fill


def _poison(module: nn.Module, device: str) -> None:
    """Leave NaN in free memory of the sizes that the gradients take, also as kernels hold them:
    channels in sixteens."""
    held: list[Tensor] = []
    for parameter in module.parameters():
        padded = [
            -(-size // 16) * 16 if axis < 2 else size for axis, size in enumerate(parameter.shape)
        ]
        for shape in (list(parameter.shape), padded):
            size = torch.Size(shape).numel()
            for dtype in (torch.bfloat16, torch.float32):
                if size * dtype.itemsize <= POISON_BYTES:
                    held.extend(
                        torch.full((size,), float("nan"), dtype=dtype, device=device)
                        for _ in range(2)
                    )
    del held
