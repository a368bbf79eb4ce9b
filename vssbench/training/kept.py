"""Layers that run in another precision or memory layout than the rest of their network."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

#: how a layer is run whose gradient is wrong as the training would run it, in the order in which
#: they are tried
Form = Literal["NCHW", "fp32 and NCHW"]
FORMS: tuple[Form, ...] = ("NCHW", "fp32 and NCHW")


class Kept(nn.Module):
    """A layer that runs in another form than the rest of the network, and hands on what the rest
    expects."""

    form: ClassVar[Form]
    types: ClassVar[tuple[torch.dtype, ...]]
    plain: ClassVar[type[nn.Module]]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        flat, tree = tree_flatten((args, kwargs))
        tensors = [x for x in flat if isinstance(x, Tensor) and x.is_floating_point()]
        last = any(_is_channels_last(x) for x in tensors)
        exact = self.form == "fp32 and NCHW"
        args, kwargs = tree_unflatten([_plain(x, exact) for x in flat], tree)
        device = tensors[0].device.type if tensors else "cpu"
        with torch.autocast(device, enabled=torch.is_autocast_enabled(device) and not exact):
            results, tree = tree_flatten(super().forward(*args, **kwargs))
        # where the network runs without autocast, as in a validation, nothing is in another
        # precision than it comes in
        types = iter(self.types if torch.is_autocast_enabled(device) else ())
        return tree_unflatten([_handed_on(x, next(types, None), last) for x in results], tree)


def _is_channels_last(value: Tensor) -> bool:
    return (
        value.ndim == 4
        and value.is_contiguous(memory_format=torch.channels_last)
        and not value.is_contiguous()
    )


def is_float(value: Any) -> bool:
    """Return whether something is a floating-point tensor."""
    return isinstance(value, Tensor) and value.is_floating_point()


def _plain(value: Any, exact: bool) -> Any:
    if not is_float(value):
        return value
    return (value.float() if exact else value).contiguous()


def _handed_on(value: Any, dtype: torch.dtype | None, last: bool) -> Any:
    if not is_float(value):
        return value
    value = value.to(dtype or value.dtype)
    return (
        value.contiguous(memory_format=torch.channels_last) if last and value.ndim == 4 else value
    )


def keep(module: nn.Module, form: Form, types: tuple[torch.dtype, ...] = ()) -> None:
    """Run a layer in another form from now on; ``types`` are those of its outputs. Names and values
    of its state stay."""
    plain = release(module)
    for parameter in module.parameters():
        parameter.data = parameter.data.contiguous()
    # a new class for the same object: a wrapper around it would rename its parameters, and a copy
    # of the model would hold a bound method of the layer that it was copied from
    module.__class__ = type(
        plain.__name__, (Kept, plain), {"form": form, "types": types, "plain": plain}
    )


def release(module: nn.Module) -> type[nn.Module]:
    """Undo :func:`keep`, of one module; returns its own class."""
    if isinstance(module, Kept):
        module.__class__ = module.plain  # type: ignore[assignment]
        for parameter in module.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return type(module)
