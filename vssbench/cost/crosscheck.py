"""The same count by three tools side by side: torch's FlopCounterMode, fvcore and ptflops, each
with what it missed.

All three run on the meta device at any input size without computing anything. What is compared is
the multiply-accumulates of convolutions and matrix products that a tool counts by itself. Beside
that stands what it counts in addition (batch normalisation and resizing in fvcore, biases in
ptflops: with these, the number that the tool prints) and the operators that it does not know, whose
products are then found by the formulas registered with torch, handed to the tool by the handles
that it offers (fvcore's ``set_op_handle``, ptflops' ``custom_modules_hooks``).

ptflops counts by its ``aten`` backend, which sees functional calls; its default backend sees
modules alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten
from torch.utils.flop_counter import FlopCounterMode, flop_registry, sdpa_flop_count

from vssbench.core.errors import UsageError
from vssbench.core.torchvision_guard import install
from vssbench.core.variant import Variant
from vssbench.cost import gmacs
from vssbench.cost.gmacs import REFUSALS, inputs, is_per_frame, meta_model
from vssbench.cost.operators import Operators, watch
from vssbench.cost.shapes import ResizingAlone, ShapesAlone
from vssbench.cost.tracing import TracedConvolutions

TOOLS = ("torch", "fvcore", "ptflops")
#: tools that differ by no more than this share agree
TOLERANCE = 0.01

#: fvcore's names of what multiplies and accumulates; all else that it counts is in addition
_FVCORE_PRODUCTS = ("conv", "linear", "matmul", "bmm", "mm", "addmm", "einsum", "grid_sampler")
#: what the tables call an operator, by a part of its name; whatever is not here is elementwise
_KINDS = {
    "batch_norm": "batch norm", "layer_norm": "layer norm", "group_norm": "group norm",
    "upsample": "resizing",
    "softmax": "softmax", "pool": "pooling", "mean": "pooling", "cat": "copying", "copy": "copying",
    "clone": "copying",
    "shuffle": "copying", "one_hot": "copying", "scatter": "copying", "gather": "copying",
    "index": "copying", "pad": "copying",
    "arg": "argmax", "grid_sampler": "warp",
}  # fmt: skip


@dataclass
class Tally:
    """The count of a tool on one frame, or on the mean frame of a GOP; all in GMACs.

    ``products``: multiply-accumulates, by the tool alone; ``beyond``: what it adds to them, by
    kind; ``missed``: operators that multiply and that it does not know, with their number of calls
    and their products by the registered formulas; ``ignored``: torch's operators that it does not
    count, nor does the convention ``macs``, with their number of calls; ``unknown``: operators of
    plug-ins that have no formula, with theirs.
    """

    products: float
    beyond: dict[str, float] = field(default_factory=dict)
    missed: dict[str, tuple[int, float]] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)

    @property
    def printed(self) -> float:
        """The number that the tool gives as it comes, multiply-accumulates counted as 1."""
        return self.products + sum(self.beyond.values())

    @property
    def completed(self) -> float:
        """With the formulas for the operators that it misses."""
        return self.products + sum(amount for _, amount in self.missed.values())

    def record(self) -> dict[str, Any]:
        """Plain values."""
        missed = {
            name: {"calls": calls, "gmacs": amount} for name, (calls, amount) in self.missed.items()
        }
        return {
            "products": self.products, "printed": self.printed, "completed": self.completed,
            "beyond": self.beyond,
            "missed": missed, "ignored": self.ignored, "unknown": self.unknown,
        }  # fmt: skip


@dataclass
class CrossCheck:
    """By tool, its tally of a keyframe and of another frame; ``per_frame`` where a later frame is
    the same work."""

    key: dict[str, Tally]
    nonkey: dict[str, Tally]
    per_frame: bool

    def gop(self, tool: str, gop: int) -> float:
        """A tool's products of the mean frame of a GOP: (key + (L-1) non-key) / L."""
        return (self.key[tool].products + (gop - 1) * self.nonkey[tool].products) / gop

    def frames(self) -> dict[str, dict[str, Tally]]:
        """The frames that differ, by name."""
        return {"key": self.key} if self.per_frame else {"key": self.key, "non-key": self.nonkey}

    def record(self, gop: int) -> dict[str, Any]:
        """Plain values, by tool."""
        return {
            tool: {
                "key": self.key[tool].record(),
                "nonkey": self.nonkey[tool].record(),
                "gop": self.gop(tool, gop),
            }
            for tool in TOOLS
        }


class _Frame(nn.Module):
    """A keyframe or another frame of a method as a plain module, which is what the tools take.
    Every tensor comes out, and the reference's go in, so that no tracer takes a part of the work
    for unused or for constant."""

    def __init__(self, model: Any, reference: Any = None) -> None:
        super().__init__()
        self.model = model
        leaves, self._structure = tree_flatten(reference)
        self._fixed = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self.held = tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))

    def forward(
        self, image: Tensor, motion: Tensor | None = None, held: tuple[Tensor, ...] = ()
    ) -> tuple[Tensor, ...]:
        if motion is None:
            output = self.model.begin(image)
        else:
            tensors = iter(held)
            leaves = [next(tensors) if leaf is None else leaf for leaf in self._fixed]
            output = self.model.follow(image, motion, tree_unflatten(leaves, self._structure))
        return tuple(leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor))


def cross_check(variant: Variant, classes: int, height: int, width: int) -> CrossCheck:
    """Count a method at an input size in pixels with all three tools.

    Raises UsageError where the network does not run at that size.
    """
    model = meta_model(variant, classes)
    image, motion = inputs(height, width)
    try:
        with torch.no_grad(), ResizingAlone():
            key = _tallies(_Frame(model), image)
            if is_per_frame(model):
                return CrossCheck(key, key, True)
            _, reference = model.begin(image)
            other = _Frame(model, reference)
            return CrossCheck(key, _tallies(other, image, motion, other.held), False)
    except REFUSALS as error:
        raise UsageError(f"{variant} does not run at {height}x{width}: {error}") from error


def _tallies(frame: _Frame, *given: Any) -> dict[str, Tally]:
    seen, _ = watch(frame, frame, *given)
    return {
        "torch": _torch(seen, frame, *given),
        "fvcore": _fvcore(frame, *given),
        "ptflops": _ptflops(seen, frame, *given),
    }


def _torch(seen: Operators, frame: _Frame, *given: Any) -> Tally:
    """Count with FlopCounterMode, and list what ran without being counted."""
    with ShapesAlone(), FlopCounterMode(display=False) as counter:
        frame(*given)
    ignored, unknown = _sorted(
        {str(packet): calls for packet, calls in seen.calls.items() if packet not in flop_registry},
        ".",
    )
    return Tally(gmacs.total(counter), ignored=ignored, unknown=unknown)


def _sorted(calls: Mapping[str, int], separator: str) -> tuple[dict[str, int], dict[str, int]]:
    """Split calls into those of torch's own operators and of others.

    Torch's are told by their plain name, others by the whole of it.
    """
    ignored: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for name, number in calls.items():
        namespace, _, plain = name.partition(separator)
        if namespace in ("aten", "prims"):
            ignored[plain] += number
        else:
            unknown[name] += number
    return dict(ignored.most_common()), dict(unknown)


def kind(name: str) -> str:
    """Return the name of an operator in the tables."""
    return next((kind for part, kind in _KINDS.items() if part in name), "elementwise")


class _Missed:
    """Counts what a tool does not know by torch's registered formulas, on the tool's own hooks,
    which get 0 of it."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[int, float]] = {}

    def add(self, name: str, flops: int) -> int:
        calls, amount = self.found.get(name, (0, 0.0))
        self.found[name] = (calls + 1, amount + flops / 2e9)
        return 0


def _fvcore(frame: _Frame, *given: Any) -> Tally:
    from fvcore.nn import FlopCountAnalysis

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    missed = _Missed()
    analysis = (
        FlopCountAnalysis(frame, given)
        .unsupported_ops_warnings(False)
        .uncalled_modules_warnings(False)
    )
    for packet, formula in _own_formulas().items():
        analysis.set_op_handle(
            str(packet).replace(".", "::"), _traced_formula(missed, str(packet), formula)
        )
    analysis.set_op_handle(
        "aten::scaled_dot_product_attention", _traced_formula(missed, "attention", _attention)
    )
    with TracedConvolutions():
        operators = analysis.by_operator()
    beyond: Counter[str] = Counter()
    for name, amount in operators.items():
        if name not in _FVCORE_PRODUCTS and amount:
            beyond[kind(name)] += amount
    products = sum(amount for name, amount in operators.items() if name in _FVCORE_PRODUCTS)
    ignored, unknown = _sorted(analysis.unsupported_ops(), "::")
    return Tally(
        products / 1e9,
        {name: amount / 1e9 for name, amount in beyond.items()},
        missed.found,
        ignored,
        unknown,
    )


def _own_formulas() -> dict[Any, Callable[..., int]]:
    """Formulas registered with torch for operators that are not its own."""
    return {
        packet: formula
        for packet, formula in flop_registry.items()
        if not str(packet).startswith("aten.")
    }


def _attention(query: Any, key: Any, value: Any, *_: Any, out_val: Any = None, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _traced_formula(
    missed: _Missed, name: str, formula: Callable[..., int]
) -> Callable[[Any, Any], int]:
    """Return a handle of fvcore's for a formula.

    It takes the shapes of values of a traced graph.
    """

    def plain(value: Any) -> Any:
        return value.type().sizes() if value.isCompleteTensor() else value.toIValue()

    def handle(given: Any, output: Any) -> int:
        return missed.add(name, formula(*map(plain, given), out_val=plain(output[0])))

    return handle


def _ptflops(seen: Operators, frame: _Frame, *given: Any) -> Tally:
    install()
    from ptflops import get_model_complexity_info
    from ptflops.aten_ops import ATEN_OPS_MAPPING

    missed = _Missed()

    def hook(packet: Any) -> Callable[[Any, Any], int]:
        return lambda args, output: missed.add(
            str(packet), flop_registry[packet](*args, out_val=output[0])
        )

    hooks = {packet: hook(packet) for packet in flop_registry if packet not in ATEN_OPS_MAPPING}
    names = dict(zip(("image", "motion", "held"), given, strict=False))
    counted, _ = get_model_complexity_info(
        frame, (1,), as_strings=False, print_per_layer_stat=False, backend="aten", verbose=False,
        input_constructor=lambda _: names, custom_modules_hooks=hooks,
    )  # fmt: skip
    if counted is None:
        raise RuntimeError("ptflops did not get through the network; its message stands above")
    ours = {
        str(packet): calls
        for packet, calls in seen.calls.items()
        if packet not in {**ATEN_OPS_MAPPING, **hooks}
    }
    biases = seen.biases / 1e9
    return Tally(
        float(counted) / 1e9 - biases,
        {"biases": biases} if biases else {},
        missed.found,
        *_sorted(ours, "."),
    )
