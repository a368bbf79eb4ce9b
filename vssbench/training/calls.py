"""The layers of a network that take part in a training pass, and the calls of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from vssbench.nets.processes import sum_over_processes
from vssbench.training.distributed import SharedBatchNorm
from vssbench.training.kept import is_float


@dataclass(frozen=True)
class Input:
    """A floating-point argument of a layer: all that its kernel is chosen by, without the
    values."""

    shape: torch.Size
    strides: tuple[int, ...]
    dtype: torch.dtype
    device: str
    differentiable: bool

    @classmethod
    def of(cls, value: Tensor) -> Input:
        """Return what there is to know of a tensor."""
        return cls(value.shape, value.stride(), value.dtype, str(value.device), value.requires_grad)

    def draw(self) -> Tensor:
        """Return random values that the input's own type holds exactly, in fp32 and NCHW."""
        return torch.randn(self.shape, device=self.device).to(self.dtype).float()

    def as_seen(self, value: Tensor) -> Tensor:
        """Return the values in the type and the layout that the layer saw."""
        overlaps = any(
            stride == 0 and size > 1 for size, stride in zip(self.shape, self.strides, strict=True)
        )
        if overlaps:
            return value.to(self.dtype)
        return torch.empty_strided(
            self.shape, self.strides, dtype=self.dtype, device=self.device
        ).copy_(value)


@dataclass(frozen=True)
class Call:
    """One call of a layer in a training pass: its arguments, floating-point tensors as
    :class:`Input`."""

    arguments: tuple[Any, ...]
    tree: Any
    autocast: bool
    types: tuple[torch.dtype, ...]

    def key(self) -> tuple[Any, ...]:
        """Return a key, equal for calls that run the same kernels."""
        known = tuple(
            x if isinstance(x, Input) else (repr(x) if not isinstance(x, Tensor) else id(x))
            for x in self.arguments
        )
        return (known, str(self.tree), self.autocast, self.types)

    def inputs(self) -> list[Input]:
        """Return the floating-point arguments."""
        return [x for x in self.arguments if isinstance(x, Input)]

    def filled(self, values: list[Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments and keywords with these values for the floating-point tensors."""
        those = iter(values)
        whole = [next(those) if isinstance(x, Input) else x for x in self.arguments]
        args, kwargs = tree_unflatten(whole, self.tree)
        return args, kwargs


@dataclass
class Layer:
    """A module that was seen at work, and which of its parameters' gradients it answers for."""

    name: str
    module: nn.Module
    parameters: list[nn.Parameter]
    calls: dict[Any, Call]

    def key(self) -> Any:
        """Return a key, equal for layers that torch runs by the same kernels: those of its own
        classes, by their settings and shapes."""
        hooked = (
            self.module._forward_hooks
            or self.module._forward_pre_hooks
            or self.module._backward_hooks
        )
        if (
            not type(self.module).__module__.startswith("torch.nn.modules")
            or hooked
            or list(self.module.children())
        ):
            return self.name
        shapes = tuple(
            (p.shape, p.stride(), p.dtype, p.requires_grad) for p in self.module.parameters()
        )
        return (
            type(self.module),
            self.module.extra_repr(),
            self.module.training,
            shapes,
            tuple(self.calls),
        )


def layers_of(model: nn.Module, loss: Callable[[], Tensor]) -> tuple[list[Layer], list[str]]:
    """Return the layers to test, from one pass; and the parameters that take part but belong to no
    module that was called.

    A layer answers for its own parameters. A parameter that is used without a call of its owner
    (``F.conv2d`` with a module's weight) is answered for by the smallest module around it that was
    called.
    """
    calls: dict[str, dict[Any, Call]] = {}
    handles = [
        module.register_forward_hook(_noting(calls.setdefault(name, {})), with_kwargs=True)
        for name, module in model.named_modules()
        # no kernel of torch's own
        if any(True for _ in module.parameters()) and not isinstance(module, SharedBatchNorm)
    ]
    try:
        total = loss()
    finally:
        for handle in handles:
            handle.remove()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(total, list(trained.values()), allow_unused=True)
    used = sum_over_processes(
        torch.tensor([float(g is not None) for g in gradients], device=total.device)
    ).tolist()
    owners: dict[str, list[nn.Parameter]] = {}
    unseen = []
    modules = dict(model.named_modules())
    for (name, parameter), count in zip(trained.items(), used, strict=True):
        owner = name.rpartition(".")[0]
        if not count or isinstance(modules[owner], SharedBatchNorm):
            continue
        while owner and not calls.get(owner):
            owner = owner.rpartition(".")[0]
        if calls.get(owner):
            owners.setdefault(owner, []).append(parameter)
        else:
            unseen.append(name)
    # frozen layers hand their input's gradient on
    frozen = [
        name
        for name, seen in calls.items()
        if seen
        and name not in owners
        and not list(modules[name].children())
        and any(c.inputs() for c in seen.values())
    ]
    owners.update({name: [] for name in frozen})
    return [
        Layer(name, modules[name], owners[name], calls[name]) for name in modules if name in owners
    ], unseen


def _noting(calls: dict[Any, Call]) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        results = [x for x in tree_flatten(output)[0] if isinstance(x, Tensor)]
        if not any(x.requires_grad for x in results):
            return
        flat, tree = tree_flatten((args, kwargs))
        held = tuple(Input.of(x) if is_float(x) else x for x in flat)
        autocast = torch.is_autocast_enabled(results[0].device.type)
        call = Call(held, tree, autocast, tuple(x.dtype for x in results if x.is_floating_point()))
        calls.setdefault(call.key(), call)

    return hook
