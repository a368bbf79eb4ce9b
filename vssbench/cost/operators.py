"""A network's operators: names, calls, bytes read and written, and the activations alive at once.

The network runs on torch's meta device as it is written (not in its fast form), so that nothing is
computed and no data is needed. An operator is what reaches torch's dispatcher: a convolution, a
batch normalisation, one of our own operators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vssbench.core.uncompiled import uncompiled
from vssbench.cost.uncounted import Calls

#: make a tensor without reading one
_ALLOCATIONS = {"empty", "empty_strided", "empty_like", "new_empty", "new_empty_strided"}


@dataclass
class Traffic:
    """Bytes of one frame. ``read`` and ``written``: the sizes of every operator's input and output
    activations, summed over operators; ``weights``: of the parameters and buffers among the inputs,
    likewise; ``peak``: the most bytes of activations alive at once, the frame and what its keyframe
    handed on among them."""

    read: int = 0
    written: int = 0
    weights: int = 0
    peak: int = 0

    @property
    def moved(self) -> int:
        """Activation bytes read and written."""
        return self.read + self.written

    def record(self) -> dict[str, int]:
        """Return plain values."""
        return {**asdict(self), "moved": self.moved}


@dataclass
@uncompiled
class Operators(TorchDispatchMode):
    """Inside ``with``, every operator that runs: ``calls`` by name, ``biases`` that convolutions
    and ``addmm`` added (values, not bytes), and ``traffic``.

    ``model`` is the one whose parameters and buffers are no activations; ``given`` are the tensors
    that are there from the start. A view moves nothing; an operator in place reads and writes. A
    tensor that two inputs share is read twice.
    """

    model: nn.Module
    given: Iterable[Any] = ()
    calls: Counter[Any] = field(default_factory=Counter)
    biases: int = 0
    traffic: Traffic = field(default_factory=Traffic)

    def __post_init__(self) -> None:
        super().__init__()
        self._known = Calls()
        self._weights = {
            _memory(tensor) for tensor in (*self.model.parameters(), *self.model.buffers())
        }
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self._hold(self.given)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        operator = self._known.operator(func, args, kwargs, output)
        name = func._overloadpacket.__name__
        if name in _ALLOCATIONS or func.is_view or "alias" in name:
            self._hold(output)
            return output
        self.calls[operator] += 1
        self.biases += _biases(name, args, output)
        for tensor in _tensors((args, kwargs)):
            if _memory(tensor) in self._weights:
                self.traffic.weights += _bytes(tensor)
            else:
                self.traffic.read += _bytes(tensor)
        self.traffic.written += sum(_bytes(tensor) for tensor in _tensors(output))
        self._hold(output)
        return output

    def _hold(self, tensors: Any) -> None:
        """Note new memory, forget freed memory, and take the sum."""
        for tensor in _tensors(tensors):
            if _memory(tensor) not in self._weights:
                storage = tensor.untyped_storage()
                self._alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self._alive = {key: held for key, held in self._alive.items() if not held[0].expired()}
        self.traffic.peak = max(self.traffic.peak, sum(size for _, size in self._alive.values()))


def _biases(name: str, args: Any, output: Any) -> int:
    """Return the values to which an operator adds a bias beside its products."""
    has_bias = (name == "convolution" and args[2] is not None) or name == "addmm"
    return output.numel() if has_bias else 0


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _bytes(tensor: Tensor) -> int:
    """Return the bytes of a tensor's values; an expanded tensor counts each of its own once."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def watch(model: Any, run: Any, *given: Any) -> tuple[Operators, Any]:
    """Run ``run(*given)`` and return the operators that ran, and its result.

    ``given`` counts as alive throughout, as a frame in a stream is.
    """
    with torch.no_grad(), Operators(model, given) as seen:
        output = run(*given)
    return seen, output
