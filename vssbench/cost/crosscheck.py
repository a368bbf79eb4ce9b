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
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from vssbench.core.errors import UsageError
from vssbench.core.torchvision_guard import install
from vssbench.core.variant import Variant
from vssbench.cost import gmacs
from vssbench.cost.formulas import COMPOSED, DISPATCHED
from vssbench.cost.gmacs import REFUSALS, inputs, is_per_frame, meta_model
from vssbench.cost.operators import Operators, watch
from vssbench.cost.shapes import ResizingAlone, ShapesAlone
from vssbench.cost.tracing import TracedConvolutions
from vssbench.cost.uncounted import kind_left_out

TOOLS = ("torch", "fvcore", "ptflops")
#: tools that differ by no more than this share agree
TOLERANCE = 0.01

#: fvcore's names of what multiplies and accumulates; all else that it counts is in addition
_FVCORE_PRODUCTS = ("conv", "linear", "matmul", "bmm", "mm", "addmm", "einsum", "grid_sampler")
#: torch's operators that fvcore has rules for, which are used but for three: that for matmul
#: refuses vectors and takes one batch for the other's, that for einsum rounds to four digits, that
#: for grid_sampler takes four taps in every mode
_FVCORE_KNOWN = (
    "_convolution", "adaptive_avg_pool2d", "addmm", "batch_norm", "bmm", "group_norm",
    "instance_norm", "layer_norm", "linear", "mm", "upsample_bilinear2d", "upsample_nearest2d",
)  # fmt: skip
_FVCORE_CORRECTED = ("matmul", "einsum", "grid_sampler")


@dataclass
class Tally:
    """The count of a tool on one frame, or on the mean frame of a GOP; all in GMACs.

    ``products``: multiply-accumulates, by the tool alone; ``beyond``: what it adds to them, by
    kind; ``missed``: operators that multiply and that it does not know, with their number of calls
    and their products by the registered formulas; ``ignored``: torch's operators that the
    convention ``macs`` leaves out by rule, with their number of calls; ``unknown``: operators of
    torch or of plug-ins that may multiply and have no formula, with theirs.
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
        """Return plain values."""
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
        """Return a tool's products of the mean frame of a GOP: (key + (L-1) non-key) / L."""
        return (self.key[tool].products + (gop - 1) * self.nonkey[tool].products) / gop

    def frames(self) -> dict[str, dict[str, Tally]]:
        """Return the frames that differ, by name."""
        return {"key": self.key} if self.per_frame else {"key": self.key, "non-key": self.nonkey}

    def record(self, gop: int) -> dict[str, Any]:
        """Return plain values, by tool."""
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
        {str(packet): calls for packet, calls in seen.calls.items() if packet not in flop_registry}
    )
    return Tally(gmacs.total(counter), ignored=ignored, unknown=unknown)


def _sorted(calls: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Split calls into those that the convention leaves out by rule and others.

    The former are told by their plain name, others by the whole of it.
    """
    ignored: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for name, number in calls.items():
        whole = name.replace("::", ".")
        if kind_left_out(whole) is None:
            unknown[whole] += number
        else:
            ignored[whole.partition(".")[2]] += number
    return dict(ignored.most_common()), dict(unknown)


def kind(name: str) -> str:
    """Return the kind of an operator of torch's in the tables, given its plain name."""
    return kind_left_out(f"aten.{name}") or name


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
    for name, formula in _formulas_beyond_fvcore().items():
        analysis.set_op_handle(name, _traced_formula(missed, name.replace("::", "."), formula))
    for plain in _FVCORE_CORRECTED:
        analysis.set_op_handle(f"aten::{plain}", _products(COMPOSED[plain]))
    with TracedConvolutions():
        operators = analysis.by_operator()
    beyond: Counter[str] = Counter()
    for name, amount in operators.items():
        if name not in _FVCORE_PRODUCTS and amount:
            beyond[kind(name)] += amount
    products = sum(amount for name, amount in operators.items() if name in _FVCORE_PRODUCTS)
    ignored, unknown = _sorted(analysis.unsupported_ops())
    return Tally(
        products / 1e9,
        {name: amount / 1e9 for name, amount in beyond.items()},
        missed.found,
        ignored,
        unknown,
    )


def _formulas_beyond_fvcore() -> dict[str, Callable[..., int]]:
    """Return formulas for operators that fvcore has no rule for, by their name in a traced
    graph."""
    known = {f"aten::{plain}" for plain in (*_FVCORE_KNOWN, *_FVCORE_CORRECTED)}
    found = {str(packet).replace(".", "::"): formula for packet, formula in flop_registry.items()}
    # torch's own take no more than the arguments that matter, a traced graph gives all
    found = {name: formula for name, formula in found.items() if not name.startswith("aten::")}
    found |= {f"aten::{plain}": formula for plain, formula in (DISPATCHED | COMPOSED).items()}
    return {name: formula for name, formula in found.items() if name not in known}


def _plain(value: Any) -> Any:
    """Return a value of a traced graph: a tensor as its shape, a list as a list."""
    if value.node().kind() == "prim::ListConstruct":
        return [_plain(each) for each in value.node().inputs()]
    return value.type().sizes() if value.isCompleteTensor() else value.toIValue()


def _products(formula: Callable[..., int]) -> Callable[[Any, Any], float]:
    """Return a handle of fvcore's that counts as fvcore does, multiply-accumulates as 1."""

    def handle(given: Any, output: Any) -> float:
        return formula(*map(_plain, given)) / 2

    return handle


def _traced_formula(
    missed: _Missed, name: str, formula: Callable[..., int]
) -> Callable[[Any, Any], int]:
    """Return a handle of fvcore's for a formula.

    It takes the shapes of values of a traced graph.
    """

    def handle(given: Any, output: Any) -> int:
        return missed.add(name, formula(*map(_plain, given), out_val=_plain(output[0])))

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
        *_sorted(ours),
    )
