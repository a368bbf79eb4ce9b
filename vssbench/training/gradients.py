"""Whether each layer's gradient is right in the precision and memory layout of a training, and what
is done where not.

Kernels for low precision and channels-last are younger than those for fp32 in NCHW, and some
releases of torch have some that leave a part of a gradient unwritten: whatever was in memory before
is then taken for a gradient. So each layer is run by itself before a phase, on random values in the
shapes of a real batch, forward and backward, against itself in fp32 and NCHW; a layer that differs
is trained in the first form that does not.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from vssbench.nets.processes import sum_over_processes
from vssbench.training.distributed import SharedBatchNorm

#: how a layer is run whose gradient is wrong as the training would run it, in the order in which
#: they are tried
Form = Literal["NCHW", "fp32 and NCHW"]
FORMS: tuple[Form, ...] = ("NCHW", "fp32 and NCHW")
#: runs of each layer: memory that was never written holds the right value now and then
RUNS = 3
#: what rounding may do to a gradient: the cosine with the exact one, and the largest error in units
#: of its root mean square
COSINE = 0.97
LARGEST_ERROR = 0.25
#: buffers larger than this are not poisoned: fresh pages of the system hold zeros whatever was
#: freed before
POISON_BYTES = 2**26


@dataclass(frozen=True)
class Findings:
    """Findings of a check of all layers, by their names: the form that each wrong layer is trained
    in; those that are right in no form that was tried; those that could not be run by themselves.
    """

    kept: dict[str, Form] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return what the weight file says of the check; empty where every layer was right."""
        lists = {"wrong": list(self.wrong), "unchecked": list(self.unchecked)}
        return {name: value for name, value in {"kept": dict(self.kept), **lists}.items() if value}

    def line(self, precision: str) -> str:
        """The findings in one line for the user; empty where every layer was right."""
        said = []
        for form in FORMS:
            if names := [name for name, chosen in self.kept.items() if chosen == form]:
                said.append(f"trained in {form}: {', '.join(names)}")
        if self.wrong:
            said.append(
                "wrong in NCHW and in fp32 too, so that this training is in doubt: "
                f"{', '.join(self.wrong)}"
            )
        text = ""
        if said:
            text = (
                f"torch {torch.__version__} gives wrong gradients here in {precision} and "
                "channels-last; " + "; ".join(said)
            )
        if self.unchecked:
            text += (
                f"{'; ' if text else ''}gradients that could not be checked: "
                f"{', '.join(self.unchecked)}"
            )
        return text


@dataclass(frozen=True)
class _Input:
    """A floating-point argument of a layer: all that its kernel is chosen by, without the
    values."""

    shape: torch.Size
    strides: tuple[int, ...]
    dtype: torch.dtype
    device: str
    differentiable: bool

    @classmethod
    def of(cls, value: Tensor) -> _Input:
        return cls(value.shape, value.stride(), value.dtype, str(value.device), value.requires_grad)

    def draw(self) -> Tensor:
        """Random values that the input's own type holds exactly, in fp32 and NCHW."""
        return torch.randn(self.shape, device=self.device).to(self.dtype).float()

    def as_seen(self, value: Tensor) -> Tensor:
        """The values in the type and the layout that the layer saw."""
        overlaps = any(
            stride == 0 and size > 1 for size, stride in zip(self.shape, self.strides, strict=True)
        )
        if overlaps:
            return value.to(self.dtype)
        return torch.empty_strided(
            self.shape, self.strides, dtype=self.dtype, device=self.device
        ).copy_(value)


@dataclass(frozen=True)
class _Call:
    """One call of a layer in a training pass: its arguments, floating-point tensors as
    :class:`_Input`."""

    arguments: tuple[Any, ...]
    tree: Any
    autocast: bool
    types: tuple[torch.dtype, ...]

    def key(self) -> tuple[Any, ...]:
        known = tuple(
            x if isinstance(x, _Input) else (repr(x) if not isinstance(x, Tensor) else id(x))
            for x in self.arguments
        )
        return (known, str(self.tree), self.autocast, self.types)

    def inputs(self) -> list[_Input]:
        return [x for x in self.arguments if isinstance(x, _Input)]

    def filled(self, values: list[Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments and keywords with these values for the floating-point tensors."""
        those = iter(values)
        whole = [next(those) if isinstance(x, _Input) else x for x in self.arguments]
        args, kwargs = tree_unflatten(whole, self.tree)
        return args, kwargs


@dataclass
class _Layer:
    """A module that was seen at work, and which of its parameters' gradients it answers for."""

    name: str
    module: nn.Module
    parameters: list[nn.Parameter]
    calls: dict[Any, _Call]

    def key(self) -> Any:
        """Equal for layers that torch runs by the same kernels: those of its own classes, by their
        settings and shapes."""
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


class _Kept(nn.Module):
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


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _plain(value: Any, exact: bool) -> Any:
    if not _is_float(value):
        return value
    return (value.float() if exact else value).contiguous()


def _handed_on(value: Any, dtype: torch.dtype | None, last: bool) -> Any:
    if not _is_float(value):
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
        plain.__name__, (_Kept, plain), {"form": form, "types": types, "plain": plain}
    )


def release(module: nn.Module) -> type[nn.Module]:
    """Undo :func:`keep`, of one module; returns its own class."""
    if isinstance(module, _Kept):
        module.__class__ = module.plain  # type: ignore[assignment]
        for parameter in module.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return type(module)


def right_gradients(
    model: nn.Module,
    loss: Callable[[], Tensor],
    device: str,
    precision: str,
    known: dict[str, Form] | None = None,
) -> Findings:
    """Check the gradient of every layer that ``loss`` goes through, and keep those that are wrong
    in a form that is right.

    ``precision`` is that of autocast in ``loss`` (fp32: none). Layers in ``known`` take the form
    named there at least: a training that is resumed goes on as it began. Values, statistics and
    random numbers of the model are as before.
    """
    for module in model.modules():
        release(module)
    devices = [torch.cuda.current_device()] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices), _same_buffers(model):
        layers, unseen = _layers(model, loss)
        check = _Check(layers, device, precision)
        broken = check.agreed(check.trial())
        left, kept = [n for n, state in enumerate(broken) if state == 1], dict(known or {})
        for form in FORMS:
            trying = [n for n in left if _at_least(form, kept.get(layers[n].name))]
            for n in trying:
                keep(layers[n].module, form, next(iter(layers[n].calls.values())).types)
            again = check.agreed(check.trial(trying))
            kept.update({layers[n].name: form for n in trying if not again[n]})
            left = [n for n in left if n not in trying or again[n]]
    for layer in layers:
        if layer.name in kept:
            keep(layer.module, kept[layer.name], next(iter(layer.calls.values())).types)
        else:
            release(layer.module)
    unchecked = [layers[n].name for n, state in enumerate(broken) if state > 1]
    return Findings(kept, tuple(layers[n].name for n in left), (*unchecked, *unseen))


def _at_least(form: Form, earlier: Form | None) -> bool:
    return earlier is None or FORMS.index(form) >= FORMS.index(earlier)


@contextmanager
def _same_buffers(model: nn.Module) -> Iterator[None]:
    """Statistics after as before."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)


def _layers(model: nn.Module, loss: Callable[[], Tensor]) -> tuple[list[_Layer], list[str]]:
    """The layers to test, from one pass; and the parameters that take part but belong to no module
    that was called.

    A layer answers for its own parameters. A parameter that is used without a call of its owner
    (``F.conv2d`` with a module's weight) is answered for by the smallest module around it that was
    called.
    """
    calls: dict[str, dict[Any, _Call]] = {}
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
        _Layer(name, modules[name], owners[name], calls[name]) for name in modules if name in owners
    ], unseen


def _noting(calls: dict[Any, _Call]) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        results = [x for x in tree_flatten(output)[0] if isinstance(x, Tensor)]
        if not any(x.requires_grad for x in results):
            return
        flat, tree = tree_flatten((args, kwargs))
        held = tuple(_Input.of(x) if _is_float(x) else x for x in flat)
        autocast = torch.is_autocast_enabled(results[0].device.type)
        call = _Call(held, tree, autocast, tuple(x.dtype for x in results if x.is_floating_point()))
        calls.setdefault(call.key(), call)

    return hook


@dataclass
class _Draw:
    """Random arguments of a call, the gradients of its outputs, and the gradients that follow:
    exact, and as trained."""

    values: list[Tensor]
    outer: list[Tensor]
    exact: list[Tensor]
    found: list[list[Tensor]] = field(default_factory=list)

    def few(self) -> bool:
        """Whether a gradient has so few values that all may be near zero by chance."""
        return any(gradient.numel() < 8 for gradient in self.exact)


@dataclass
class _Check:
    """Trials of layers in the form that they have at the time."""

    layers: list[_Layer]
    device: str
    precision: str

    def trial(self, chosen: Iterable[int] | None = None) -> list[int]:
        """For each layer 0 where it is right (or not chosen), 1 where its gradient is wrong, 2
        where it cannot be run."""
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
        """The worst that any process found: all train a layer in the same form."""
        counts = torch.tensor(
            [[float(s == 1), float(s > 1)] for s in states], device=self.device
        ).reshape(-1, 2)
        totals = sum_over_processes(counts).tolist()
        return [2 if unknown else int(wrong > 0) for wrong, unknown in totals]

    def _state(self, layer: _Layer) -> int:
        try:
            return int(any(self._wrong(layer, call) for call in layer.calls.values()))
        except Exception:  # anyone's module, outside its network: whatever it raises, no verdict
            return 2

    def _wrong(self, layer: _Layer, call: _Call) -> bool:
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
        self, layer: _Layer, call: _Call, values: list[Tensor], outer: list[Tensor]
    ) -> list[Tensor]:
        kept = {
            module: type(module) for module in layer.module.modules() if isinstance(module, _Kept)
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
        self, layer: _Layer, call: _Call, values: list[Tensor], outer: list[Tensor]
    ) -> list[Tensor]:
        seen = [given.as_seen(value) for given, value in zip(call.inputs(), values, strict=True)]
        with _unwritten_is_nan(layer.module, self.device):
            return self._gradients(layer, call, seen, outer, call.autocast)

    def _gradients(
        self, layer: _Layer, call: _Call, values: list[Tensor], outer: list[Tensor], autocast: bool
    ) -> list[Tensor]:
        """Gradients of a run: of the layer's parameters, then of its arguments. ``outer`` is filled
        by the first run."""
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
                if _is_float(x) and x.requires_grad
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


def _cancels(module: nn.Module, call: _Call) -> bool:
    """Whether the gradient of a layer's input is nothing but rounding: two values are normalised to
    1 and -1."""
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
    """Whether any gradient is further from the exact one than rounding takes it."""
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
