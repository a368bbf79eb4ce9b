"""Bjontegaard deltas: how far two curves of quality over cost lie apart, on average.

As the common test conditions of JCT-VC and ITU-T's HSTP-VID-WPOM have them: curves run through at
least four points by piecewise cubic interpolation that keeps the points' order (PCHIP), costs are
logarithmic, and the mean is that over the part of the axis that both curves cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log10

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError, UsageError

#: points of a curve, at the least, as the standard has it
MIN_POINTS = 4
#: part of both curves' span that they share below which a delta is said to stand on little
SMALL_OVERLAP = 0.75

Floats = npt.NDArray[np.float64]
#: costs (as rates or GMACs, above 0) and qualities
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Delta:
    """A mean difference, and what part of both curves' span they share, as a fraction."""

    value: float
    overlap: float


def bd_quality(first: Points, second: Points) -> Delta:
    """Return by how much the first curve's quality is above the second's at equal cost.

    Raises DataError where a curve has too few points, or no cost is covered by both.
    """
    return _apart(_curve(first, by_cost=True), _curve(second, by_cost=True), "costs")


def bd_cost(first: Points, second: Points) -> Delta:
    """Return by what part the first curve's cost is above the second's at equal quality: -0.3 is
    30 % less.

    Raises DataError where a curve has too few points, or no quality is covered by both.
    """
    its = _apart(_curve(first, by_cost=False), _curve(second, by_cost=False), "qualities")
    return Delta(10.0**its.value - 1.0, its.overlap)


def rises(points: Points) -> bool:
    """Return whether quality rises with the cost from each point to the next, as a curve's of which
    costs are compared should."""
    return all(one[1] < other[1] for one, other in pairwise(sorted(points)))


def _curve(points: Points, by_cost: bool) -> tuple[Floats, Floats]:
    """Return the curve as a function (x, y), x rising: of the logarithm of the cost, or of the
    quality.

    Of points of one x the better counts. A curve that does not rise is taken in the order of its
    qualities.
    """
    if any(cost <= 0 for cost, _ in points):
        raise DataError("no logarithm of a cost of 0: a Bjontegaard delta needs costs above 0")
    best: dict[float, float] = {}
    for cost, quality in points:
        x, y = (log10(cost), quality) if by_cost else (quality, log10(cost))
        better = max if by_cost else min
        best[x] = better(best.get(x, y), y)
    if len(best) < MIN_POINTS:
        raise DataError(
            f"a Bjontegaard delta needs {MIN_POINTS} different points of each curve, as the "
            f"standard has it; there are {len(best)}: measure more rates or scales"
        )
    both = np.array(sorted(best.items()), np.float64)
    return both[:, 0], both[:, 1]


def _apart(first: tuple[Floats, Floats], second: tuple[Floats, Floats], what: str) -> Delta:
    low, high = max(first[0][0], second[0][0]), min(first[0][-1], second[0][-1])
    if low >= high:
        raise DataError(
            f"the two curves have no {what} in common: measure rates or scales at which they meet"
        )
    span = max(first[0][-1], second[0][-1]) - min(first[0][0], second[0][0])
    means = [_integral(*curve, low, high) / (high - low) for curve in (first, second)]
    return Delta(float(means[0] - means[1]), float((high - low) / span))


def _integral(x: Floats, y: Floats, low: float, high: float) -> float:
    try:
        from scipy.interpolate import PchipInterpolator
    except ImportError as error:
        raise UsageError(
            "Bjontegaard deltas need SciPy, which is not installed: pip install 'vssbench[bd]'"
        ) from error
    return float(PchipInterpolator(x, y).integrate(low, high))
