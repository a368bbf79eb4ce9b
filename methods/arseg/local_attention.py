"""Local attention over a k x k window around each pixel, as banded matrix products (AR-Seg, section
3.2, Eq. 3).

Scores of a row of T queries against one row of keys are a band of a T x (T+k-1) matrix product.
That does about three times the multiplications that are needed, but as matrix products: several
times faster on CPU, and on GPU without an extension, than shifting the whole feature k*k times.
Rows are taken in blocks that stay in the cache.

Taps outside the feature score exactly 0 and stay in the softmax, as in the kernel that AR-Seg uses
(zero padding). All three operations take channels-last features without copying them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from vssbench.core.uncompiled import uncompiled

#: positions on a side of the square that a query attends to, as the paper's final choice has it
#: (its Table 3)
WINDOW = 7
TILE = 16  # queries a matrix product
# values of a feature in one block of rows: half a megabyte in float32, measured best on CPU
_BLOCK_VALUES = 2**17


def local_attention(
    query: Tensor, key: Tensor, value: Tensor, window: int = WINDOW, scale: float = 1.0
) -> Tensor:
    """Compute softmax over the window of ``scale * query . key``, times value: four tensors (N, C,
    H, W); window odd."""
    scores = torch.ops.vssbench.local_similarity(query, key, window)
    weights = F.softmax(scores.float() * scale, 1).to(value.dtype)
    return torch.ops.vssbench.local_weighting(weights, value, window)


def _channels_last(x: Tensor) -> Tensor:
    """Return (N, C, H, W) as contiguous (N, H, W, C): a view where the tensor is channels-last."""
    return x.permute(0, 2, 3, 1).contiguous()


def _padded(x: Tensor, radius: int, tiles: int) -> Tensor:
    """Pad (N, H, W, C) with ``radius`` zeros, on the right up to a whole number of tiles."""
    right = tiles * TILE - x.shape[2] + radius
    return F.pad(x, (0, 0, radius, right, radius, radius))


def _tiles(width: int) -> int:
    return -(-width // TILE)


def _windows(padded: Tensor, row: int, rows: int, window: int, tiles: int) -> Tensor:
    """Return keys (N*rows*tiles, TILE+window-1, C) of the tiles of ``rows`` rows that begin at
    ``row`` of the padded feature."""
    count, _, _, channels = padded.shape
    s_image, s_row, s_column, _ = padded.stride()
    reach = TILE + window - 1
    view = padded.as_strided(
        (count, rows, tiles, reach, channels),
        (s_image, s_row, TILE * s_column, s_column, 1),
        padded.storage_offset() + row * s_row,
    )
    return view.reshape(-1, reach, channels)


def _band(matrix: Tensor, window: int) -> Tensor:
    """Return the view (B, TILE, window) of a contiguous (B, TILE, TILE+window-1): row x from column
    x on."""
    reach = TILE + window - 1
    return matrix.as_strided((matrix.shape[0], TILE, window), (TILE * reach, reach + 1, 1))


def _blocks(x: Tensor) -> Iterator[tuple[int, int]]:
    """Yield (first row, rows) of the blocks in which a (N, H, W, C) feature is worked through."""
    count, height, width, channels = x.shape
    rows = max(1, min(height, _BLOCK_VALUES // (count * width * channels)))
    for first in range(0, height, rows):
        yield first, min(rows, height - first)


def _tiled(x: Tensor, first: int, rows: int, tiles: int) -> Tensor:
    """Return rows of (N, H, W, D) as (N*rows*tiles, TILE, D), zero-padded on the right."""
    block = x[:, first : first + rows]
    missing = tiles * TILE - x.shape[2]
    if missing:
        block = F.pad(block, (0, 0, 0, missing))
    return block.reshape(-1, TILE, x.shape[3])


def _untiled(x: Tensor, count: int, rows: int, width: int) -> Tensor:
    """Reverse :func:`_tiled`: (N, rows, width, D)."""
    return x.view(count, rows, -1, x.shape[-1])[:, :, :width]


def attend_rows(query: Tensor, key: Tensor, value: Tensor, window: int, scale: float) -> Tensor:
    """Return local attention of a strip, without a gradient: query (N, rows, W, C), keys and values
    of ``window - 1`` rows more.

    The strip's scores alone are in memory. Keys and values are zero where a row lies outside the
    feature.
    """
    width = query.shape[2]
    tiles, radius = _tiles(width), window // 2
    right = tiles * TILE - width + radius
    keys, values = (F.pad(x, (0, 0, radius, right)) for x in (key, value))
    out = torch.empty_like(query)
    for first, rows in _blocks(query):
        scores = _block_scores(_tiled(query, first, rows, tiles), keys, first, rows, window, tiles)
        weights = F.softmax(scores.float() * scale, 2).to(value.dtype)
        out[:, first : first + rows] = _untiled(
            _block_sums(weights, values, first, rows, window, tiles), len(query), rows, width
        )
    return out


def _block_scores(
    tiled: Tensor, keys: Tensor, first: int, rows: int, window: int, tiles: int
) -> Tensor:
    """Return (N*rows*tiles, TILE, window**2) products of tiled queries with the keys of their
    windows; ``keys`` padded."""
    scores = tiled.new_empty(*tiled.shape[:2], window * window)
    for i in range(window):
        product = torch.bmm(tiled, _windows(keys, first + i, rows, window, tiles).transpose(1, 2))
        scores[:, :, i * window : (i + 1) * window] = _band(product, window)
    return scores


def _block_sums(
    weights: Tensor, values: Tensor, first: int, rows: int, window: int, tiles: int
) -> Tensor:
    """Return (N*rows*tiles, TILE, C) sums of each window's values by tiled weights; ``values``
    padded."""
    matrix = values.new_zeros(*weights.shape[:2], TILE + window - 1)
    band = _band(matrix, window)
    total = values.new_zeros(*weights.shape[:2], values.shape[-1])
    for i in range(window):
        band.copy_(weights[:, :, i * window : (i + 1) * window])
        total.baddbmm_(matrix, _windows(values, first + i, rows, window, tiles))
    return total


def _similarity_rows(query: Tensor, key: Tensor, window: int) -> Tensor:
    """Return (N, H, W, window**2) products of each query with the keys of its window; both (N, H,
    W, C) contiguous."""
    count, height, width, _ = query.shape
    tiles = _tiles(width)
    padded = _padded(key, window // 2, tiles)
    scores = query.new_empty(count, height, width, window * window)
    for first, rows in _blocks(query):
        band = _block_scores(_tiled(query, first, rows, tiles), padded, first, rows, window, tiles)
        scores[:, first : first + rows] = _untiled(band, count, rows, width)
    return scores


def _weighting_rows(weights: Tensor, value: Tensor, window: int) -> Tensor:
    """Return (N, H, W, C) sums of the values of each window by weights (N, H, W, window**2)."""
    count, _, width, _ = value.shape
    tiles = _tiles(width)
    padded = _padded(value, window // 2, tiles)
    out = torch.empty_like(value)
    for first, rows in _blocks(value):
        total = _block_sums(_tiled(weights, first, rows, tiles), padded, first, rows, window, tiles)
        out[:, first : first + rows] = _untiled(total, count, rows, width)
    return out


def _scatter_rows(weights: Tensor, query: Tensor, window: int) -> Tensor:
    """Return the transpose of :func:`_weighting_rows`: each query added to the pixels of its
    window, by weight."""
    count, height, width, channels = query.shape
    tiles, radius = _tiles(width), window // 2
    sums = query.new_zeros(count, height + 2 * radius, (tiles + 1) * TILE, channels)
    for first, rows in _blocks(query):
        tiled = _tiled(weights, first, rows, tiles)
        queries = _tiled(query, first, rows, tiles)
        matrix = query.new_zeros(tiled.shape[0], TILE, TILE + window - 1)
        band = _band(matrix, window)
        for i in range(window):
            band.copy_(tiled[:, :, i * window : (i + 1) * window])
            part = torch.bmm(matrix.transpose(1, 2), queries).view(
                count, rows, tiles, TILE + window - 1, channels
            )
            target = sums[:, first + i : first + i + rows].unflatten(2, (tiles + 1, TILE))
            target[:, :, :tiles] += part[:, :, :, :TILE]
            target[:, :, 1:, : window - 1] += part[:, :, :, TILE:]
    return sums[:, radius : radius + height, radius : radius + width].contiguous()


def _first(x: Tensor) -> Tensor:
    """Permute (N, H, W, D) back to (N, D, H, W), channels-last in memory."""
    return x.permute(0, 3, 1, 2)


@uncompiled
@torch.library.custom_op("vssbench::local_similarity", mutates_args=())
def _similarity(query: Tensor, key: Tensor, window: int) -> Tensor:
    return _first(_similarity_rows(_channels_last(query), _channels_last(key), window))


@uncompiled
@torch.library.custom_op("vssbench::local_weighting", mutates_args=())
def _weighting(weights: Tensor, value: Tensor, window: int) -> Tensor:
    return _first(_weighting_rows(_channels_last(weights), _channels_last(value), window))


@uncompiled
@torch.library.custom_op("vssbench::local_scatter", mutates_args=())
def _scatter(weights: Tensor, query: Tensor, window: int) -> Tensor:
    return _first(_scatter_rows(_channels_last(weights), _channels_last(query), window))


@_similarity.register_fake
def _(query: Tensor, key: Tensor, window: int) -> Tensor:
    count, _, height, width = query.shape
    return query.new_empty(count, height, width, window * window).permute(0, 3, 1, 2)


@_weighting.register_fake
def _(weights: Tensor, value: Tensor, window: int) -> Tensor:
    return torch.empty_like(value, memory_format=torch.channels_last)


@_scatter.register_fake
def _(weights: Tensor, query: Tensor, window: int) -> Tensor:
    return torch.empty_like(query, memory_format=torch.channels_last)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    first, second, ctx.window = inputs
    ctx.save_for_backward(first, second)


def _similarity_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
    query, key = ctx.saved_tensors
    return _weighting(gradient, key, ctx.window), _scatter(gradient, query, ctx.window), None


def _weighting_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
    weights, value = ctx.saved_tensors
    return _similarity(gradient, value, ctx.window), _scatter(weights, gradient, ctx.window), None


_similarity.register_autograd(_similarity_backward, setup_context=_save)
_weighting.register_autograd(_weighting_backward, setup_context=_save)


@register_flop_formula([torch.ops.vssbench.local_similarity])
def _similarity_flops(
    query_shape: Any, key_shape: Any, window: int, *, out_shape: Any = None, **kwargs: Any
) -> int:
    """Count window**2 * C multiply-accumulates a pixel, as the attention needs.

    Those of the banded products are not counted.
    """
    count, channels, height, width = query_shape
    return 2 * window * window * count * channels * height * width


@register_flop_formula([torch.ops.vssbench.local_weighting, torch.ops.vssbench.local_scatter])
def _weighting_flops(
    weights_shape: Any, value_shape: Any, window: int, *, out_shape: Any = None, **kwargs: Any
) -> int:
    return _similarity_flops(value_shape, weights_shape, window)
