"""Formulas for operators that multiply and that torch's FlopCounterMode has none for.

Each counts a multiply-accumulate as 2, as torch's own do: one for every term that is multiplied and
summed. What torch learns one day is left to it. Operators of sparse or quantised tensors, Fourier
transforms and decompositions of matrices have none: their products depend on values or on the
algorithm, and they are named as what is not counted (:mod:`vssbench.cost.uncounted`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import (
    FlopCounterMode,
    flop_registry,
    register_flop_formula,
)

Shape = Any
Formula = Callable[..., int]

#: of grid_sample's modes: bilinear, nearest (a look-up), bicubic
_TAPS = {0: 4, 1: 0, 2: 16}
#: distances that sum no products: 0 counts what differs, 1 sums and infinity compares differences
_WITHOUT_PRODUCTS = (0.0, 1.0, float("inf"))


def grid_sample(image: Shape, grid: Shape, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    """Count a multiply-accumulate for each tap of a value: 4 bilinear, as the exact warp's formula
    takes, 8 in three dimensions."""
    mode = args[0] if args else kwargs.get("interpolation_mode", 0)
    taps = _TAPS[mode] * (2 if len(image) == 5 and mode == 0 else 1)
    return 2 * taps * prod(image[:2]) * prod(grid[1:-1])


def trilinear(
    first: Shape,
    second: Shape,
    third: Shape,
    *expanded_and_summed: Any,
    out_shape: Any = None,
    **kwargs: Any,
) -> int:
    """Count one for each term of the sum over all that three tensors span together: in nn.Bilinear
    every weight once a sample."""
    shapes = []
    for shape, sides in zip((first, second, third), expanded_and_summed, strict=False):
        whole = list(shape)
        for side in sorted(sides):
            whole.insert(side, 1)
        shapes.append(whole)
    return 2 * prod(torch.broadcast_shapes(*shapes))


def bilinear(first: Shape, second: Shape, weight: Shape, *args: Any, **kwargs: Any) -> int:
    """Count every weight once a sample."""
    return 2 * prod(first[:-1]) * prod(weight)


def addbmm(_: Shape, first: Shape, second: Shape, *args: Any, **kwargs: Any) -> int:
    """Count a matrix product, one or many, that is added to something."""
    return 2 * prod(first) * second[-1]


def addmv(_: Shape, matrix: Shape, vector: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * prod(matrix)


def mv(matrix: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * prod(matrix)


def addr(_: Shape, first: Shape, second: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * prod(first) * prod(second)


def cross(first: Shape, second: Shape, *args: Any, **kwargs: Any) -> int:
    """Count two products for each value of the result."""
    return 4 * prod(torch.broadcast_shapes(first, second))


def matrices(first: Shape, second: Shape, *args: Any, **kwargs: Any) -> int:
    """Count products of one, many or grouped matrices, of two or three sides."""
    groups = first[0] if len(first) == len(second) == 3 else 1
    return 2 * groups * first[-2] * first[-1] * second[-1]


def conv_tbc(given: Shape, weight: Shape, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    pad = args[1] if len(args) > 1 else kwargs.get("pad", 0)
    return 2 * (given[0] + 2 * pad - weight[0] + 1) * given[1] * prod(weight)


def cdist(first: Shape, second: Shape, p: float = 2.0, *args: Any, **kwargs: Any) -> int:
    """Count a product for each difference of two rows' values."""
    if float(p) in _WITHOUT_PRODUCTS:
        return 0
    batch = prod(torch.broadcast_shapes(first[:-2], second[:-2]))
    return 2 * batch * first[-2] * second[-2] * first[-1]


def pdist(rows: Shape, p: float = 2.0, *args: Any, **kwargs: Any) -> int:
    pairs = rows[0] * (rows[0] - 1) // 2
    return 0 if float(p) in _WITHOUT_PRODUCTS else 2 * pairs * rows[1]


def affine_grid(theta: Shape, *args: Any, **kwargs: Any) -> int:
    """Count each place of the grid, and 1, by the matrix."""
    size = args[0] if args else kwargs["size"]
    return 2 * size[0] * prod(size[2:]) * prod(theta[1:])


def attention(query: Shape, key: Shape, value: Shape, *args: Any, **kwargs: Any) -> int:
    """Count scores of every query and key, and their sums of values."""
    return 2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def embedding_bag(
    table: Shape, indices: Shape, offsets: Shape, *args: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    """Count a row times its own weight where there are weights, else sums alone."""
    weights = args[3] if len(args) > 3 else kwargs.get("per_sample_weights")
    return 0 if weights is None else 2 * prod(indices) * table[1]


def recurrent(given: Shape, *args: Any, **kwargs: Any) -> int:
    """Count every matrix of every layer and direction once a step: those of LSTM, GRU and RNN,
    whose parameters come as one list."""
    lists = [arg for arg in args if isinstance(arg, list) and arg and isinstance(arg[0], list)]
    weights = sum(prod(shape) for shapes in lists for shape in shapes if len(shape) == 2)
    return 2 * prod(given[:-1]) * weights


def cell(given: Shape, state: Any, into: Shape, within: Shape, *args: Any, **kwargs: Any) -> int:
    """Count a step of a recurrent layer."""
    return 2 * prod(given[:-1]) * (prod(into) + prod(within))


def tensordot(
    first: Shape, second: Shape, dims: Any, others: Any, *args: Any, **kwargs: Any
) -> int:
    return 2 * prod(first) * prod(second) // max(prod(first[side] for side in dims), 1)


def inner(first: Shape, second: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * prod(first) * prod(second[:-1])


def matmul(first: Shape, second: Shape, *args: Any, **kwargs: Any) -> int:
    """Count matrices and vectors, and as many of them as both batches span together."""
    batch = prod(torch.broadcast_shapes(first[:-2], second[:-2]))
    rows = first[-2] if len(first) > 1 else 1
    return 2 * batch * rows * first[-1] * (second[-1] if len(second) > 1 else 1)


def chained(operands: list[Shape], *args: Any, **kwargs: Any) -> int:
    """Count the matrix products that torch makes of many, in the order of the fewest."""
    with FlopCounterMode(display=False) as counter:
        torch.linalg.multi_dot([torch.empty(shape, device="meta") for shape in operands])
    return counter.get_total_flops()


def einsum(equation: str, operands: list[Shape], *args: Any, **kwargs: Any) -> int:
    """Count the matrix products that torch makes of it."""
    with FlopCounterMode(display=False) as counter:
        torch.einsum(equation, *(torch.empty(shape, device="meta") for shape in operands))
    return counter.get_total_flops()


#: torch's operator -> the formula, for those that reach the dispatcher
DISPATCHED: dict[str, Formula] = {
    "grid_sampler_2d": grid_sample,
    "grid_sampler_3d": grid_sample,
    "_trilinear": trilinear,
    **dict.fromkeys(("addbmm", "addbmm_", "addmm_", "baddbmm_", "_addmm_activation"), addbmm),
    **dict.fromkeys(("addmv", "addmv_"), addmv),
    "mv": mv,
    "dot": mv,
    "vdot": mv,
    **dict.fromkeys(("addr", "addr_"), addr),
    "linalg_cross": cross,
    "_int_mm": matrices,
    "_grouped_mm": matrices,
    "conv_tbc": conv_tbc,
    "_cdist_forward": cdist,
    "_euclidean_dist": cdist,
    "_pdist_forward": pdist,
    "affine_grid_generator": affine_grid,
    "_embedding_bag": embedding_bag,
    "_embedding_bag_forward_only": embedding_bag,
    "_scaled_dot_product_flash_attention_for_cpu": attention,
    "_scaled_dot_product_fused_attention_overrideable": attention,
}
#: the same for those that torch's dispatcher has taken apart, and a traced graph has not
COMPOSED: dict[str, Formula] = {
    "bilinear": bilinear,
    "lstm": recurrent,
    "gru": recurrent,
    "rnn_tanh": recurrent,
    "rnn_relu": recurrent,
    "lstm_cell": cell,
    "gru_cell": cell,
    "rnn_tanh_cell": cell,
    "rnn_relu_cell": cell,
    "cross": cross,
    "tensordot": tensordot,
    "inner": inner,
    "cdist": cdist,
    "pdist": pdist,
    "scaled_dot_product_attention": attention,
    "baddbmm": addbmm,
    **dict.fromkeys(("matmul", "linalg_matmul"), matmul),
    **dict.fromkeys(("linalg_multi_dot", "chain_matmul"), chained),
    "einsum": einsum,
    "grid_sampler": grid_sample,
}


def register() -> None:
    """Give torch the formulas that it lacks."""
    for name, formula in DISPATCHED.items():
        packet = getattr(torch.ops.aten, name, None)
        if packet is not None and packet not in flop_registry:
            register_flop_formula(packet)(formula)
