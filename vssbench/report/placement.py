"""Labels of points in a scatter plot, placed so that they overlap neither each other nor points nor
the axes' edge.

Each label tries places around its point, near ones first, with its extent as rendered; labels are
then placed again in turns, each given the others, until none moves. This is done in several orders,
and the best outcome is kept. A label that is not beside its point gets a thin leader line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vssbench.report.style import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

Floats = npt.NDArray[np.float64]

#: distances from the point's centre to the label's edge and directions that are tried; points (1/72
#: inch), radians
_RADII = (5.0, 7.0, 10.0, 14.0, 20.0, 27.0, 36.0, 47.0, 60.0, 76.0, 95.0, 120.0, 150.0)
_ANGLES = np.arange(24) * (2 * np.pi / 24)
#: half the side of the square that a marker covers, the gap around a label, and the gap from which
#: a line is drawn
_MARKER, _GAP, _LEADER_FROM = 4.0, 1.0, 7.0
#: what a fault costs beside one point of distance: an overlap, a leader that runs through
#: something, a line crossed
_OVERLAP, _CROSSING, _ON_LINE = 1e4, 150.0, 4.0
_ROUNDS, _STARTS = 12, 6
_SAMPLES = np.linspace(0.0, 1.0, 16)[1:, None]


def place_labels(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    labels: Sequence[str],
    size: float,
    lines: Sequence[Floats] = (),
) -> list[Annotation]:
    """Write one label a point (data coordinates) and return the texts, in order.

    The axes' layout and limits must be final. ``lines`` are each points (N, 2), in data
    coordinates, of a line that labels avoid where they can. Deterministic.
    """
    figure = axes.figure
    unit = 72.0 / figure.dpi  # pixels to points
    points = axes.transData.transform(np.column_stack([x, y])) * unit
    dense = [_dense(axes.transData.transform(line) * unit) for line in lines]
    avoid = np.concatenate([np.empty((0, 2)), *dense])
    texts = [
        axes.annotate(
            label,
            place,
            (0, 0),
            textcoords="offset points",
            fontsize=size,
            ha="left",
            va="bottom",
            zorder=4,
        )
        for label, place in zip(labels, zip(x, y, strict=True), strict=True)
    ]
    extents = (
        np.array([text.get_window_extent().size for text in texts]).reshape(-1, 2) * unit + 2 * _GAP
    )
    frame = np.asarray(axes.bbox.extents) * unit
    for text, point, box in zip(texts, points, _solve(points, extents, frame, avoid), strict=True):
        text.set_position(tuple(box[:2] + _GAP - point))
        _leader(axes, point / unit, _nearest(box, point) / unit, 72.0 / figure.dpi)
    return texts


def _solve(points: Floats, extents: Floats, frame: Floats, avoid: Floats) -> Floats:
    """Return boxes (N, 4) as x0, y0, x1, y1 for labels of those extents (N, 2) at those points (N,
    2)."""
    candidates = [_candidates(point, extent) for point, extent in zip(points, extents, strict=True)]
    fixed = [
        _fixed_cost(boxes, place, points, frame, avoid) for place, boxes in enumerate(candidates)
    ]
    distances = np.sort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)
    crowded_first = np.argsort(distances[:, 1:4].sum(axis=1), kind="stable")
    shuffle = np.random.default_rng(0)
    orders = [crowded_first, *(shuffle.permutation(len(points)) for _ in range(_STARTS - 1))]
    results = [_descend(order, points, candidates, fixed) for order in orders]
    return min(results, key=lambda result: result[0])[1]


def _descend(
    order: npt.NDArray[np.integer],
    points: Floats,
    candidates: Sequence[Floats],
    fixed: Sequence[Floats],
) -> tuple[float, Floats]:
    """Place the labels in turns in that order, each at its cheapest place, until none moves: (cost,
    boxes (N, 4))."""
    chosen: dict[int, int] = {}
    costs: dict[int, float] = {}
    for _ in range(_ROUNDS):
        before = dict(chosen)
        for place in order.tolist():
            others = [other for other in chosen if other != place]
            boxes = np.array([candidates[other][chosen[other]] for other in others]).reshape(-1, 4)
            cost = fixed[place] + _mutual_cost(
                candidates[place], points[place], boxes, points[others]
            )
            chosen[place] = int(np.argmin(cost))
            costs[place] = float(cost[chosen[place]])
        if chosen == before:
            break
    return sum(costs.values()), np.array(
        [candidates[place][chosen[place]] for place in range(len(points))]
    )


def _candidates(point: Floats, extent: Floats) -> Floats:
    """Return boxes (K, 4) around a point, near ones first."""
    direction = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
    centres = np.concatenate([point + direction * (radius + extent / 2) for radius in _RADII])
    return np.concatenate([centres - extent / 2, centres + extent / 2], axis=1)


def _fixed_cost(boxes: Floats, place: int, points: Floats, frame: Floats, avoid: Floats) -> Floats:
    """Return the cost of each box that is the same whatever the other labels do.

    It counts distance, points, the frame, and the line.
    """
    point = points[place]
    ends = _nearest(boxes, point)
    cost = np.linalg.norm(ends - point, axis=1)
    outside = (boxes[:, :2] < frame[:2]).any(axis=1) | (boxes[:, 2:] > frame[2:]).any(axis=1)
    markers = np.concatenate([points - _MARKER, points + _MARKER], axis=1)
    others = np.delete(markers, place, axis=0)
    cost += _OVERLAP * (outside + _overlaps(boxes, markers).sum(axis=1))
    cost += _CROSSING * _inside(_segments(ends, point), others).sum(axis=1)
    return cost + _ON_LINE * np.minimum(
        _inside(np.broadcast_to(avoid, (1, *avoid.shape)), boxes)[0], 5
    )


def _mutual_cost(boxes: Floats, point: Floats, others: Floats, their_points: Floats) -> Floats:
    """Return the cost of each box beside those chosen for other labels.

    It counts overlaps, and leaders through boxes or each other.
    """
    ends = _nearest(boxes, point)
    theirs = _segments(_nearest(others, their_points), their_points)
    cost = _OVERLAP * _overlaps(boxes, others).sum(axis=1)
    cost = cost + _CROSSING * _inside(_segments(ends, point), others).sum(axis=1)
    if len(others):
        cost += _CROSSING * _inside(theirs, boxes).sum(axis=0)
        cost += _CROSSING * _cross(ends, point, theirs[:, -1], their_points).sum(axis=1)
    return cost


def _nearest(boxes: Floats, point: Floats) -> Floats:
    """Return the point of each box (..., 4) that is nearest to a point (..., 2)."""
    return np.clip(point, boxes[..., :2], boxes[..., 2:])


def _segments(ends: Floats, starts: Floats) -> Floats:
    """Return samples (K, S, 2) along the lines from starts to ends (K, 2); a label beside its point
    has a line of no length."""
    starts = np.broadcast_to(starts, ends.shape)
    return starts[:, None] + (ends - starts)[:, None] * _SAMPLES


def _overlaps(boxes: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    """Return whether box k (K, 4) overlaps box m (M, 4): (K, M)."""
    a, b = boxes[:, None], others[None]
    return np.all((a[..., :2] < b[..., 2:]) & (b[..., :2] < a[..., 2:]), axis=2)


def _inside(samples: Floats, boxes: Floats) -> npt.NDArray[np.int64]:
    """Count the samples (K, S, 2) that lie inside box m (M, 4): (K, M)."""
    held = samples[:, :, None]
    return ((held > boxes[:, :2]) & (held < boxes[:, 2:])).all(axis=3).sum(axis=1)


def _cross(
    ends: Floats, start: Floats, their_ends: Floats, their_starts: Floats
) -> npt.NDArray[np.bool_]:
    """Return whether the line from start to end k (K, 2) crosses the line m (M, 2): (K, M)."""

    def side(a: Floats, b: Floats, c: Floats) -> Floats:
        return np.sign(
            (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1])
            - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
        )

    a, b = start[None, None], ends[:, None]
    c, d = their_starts[None], their_ends[None]
    return (side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)


def _dense(line: Floats) -> Floats:
    """Return points (M, 2) along a polyline (N, 2)."""
    return _segments(line[1:], line[:-1]).reshape(-1, 2)


def _leader(axes: Axes, start: Floats, end: Floats, unit: float) -> None:
    """Draw a thin line from a point to its label (pixels), unless the label is beside it."""
    if np.linalg.norm(end - start) * unit < _LEADER_FROM:
        return
    ends = axes.transData.inverted().transform(np.array([start, end]))
    axes.plot(
        ends[:, 0], ends[:, 1], color=GREY, linewidth=0.6, zorder=2, scalex=False, scaley=False
    )
