"""Resampling of video for a bootstrap: whole clips, or blocks of frames where clips are few.

Frames of a block are consecutive. A dataset may say which clips are of one drive or city: these
resemble each other as frames of one clip do, and such a group stands for a clip in all that
follows.

What is drawn is labelled frames, each with all its rows: under every-distance it is scored once a
distance, and clips that are views of one frame are one frame of their group. Neighbouring frames
resemble each other, so that frames drawn one by one would make intervals far too narrow. Hence:

* From MIN_CLIPS clips on, whole clips are drawn with replacement; clips are independent. The
  interval speaks of clips like these. Blocks within a few clips would not do: they know nothing of
  how clips differ, and in simulations of three to nine of them hold the truth in as little as seven
  of ten trials. Unequal clips count as fewer (:func:`equal_clips`).
* With one or two clips, blocks of consecutive labelled frames are drawn, each within its clip,
  round its end to its beginning (circular block bootstrap, Politis and Romano 1992), with the
  frames of all clips as starting points. The block's length is the one that makes the error of the
  variance least, l = (3/2 a n)^(1/3), a = 4 r^2 / (1 - r^2)^2 (Andrews, Econometrica 1991, equation
  6.4, for the triangular weights that blocks amount to; the rule of Politis and White, Econometric
  Reviews 2004, comes to the same for such a series). r is the correlation of neighbouring frames'
  contributions to the score, corrected for its bias in short series (Kendall, Biometrika 1954),
  plus its standard error sqrt((1 - r^2) / n): too great an r costs some width, too small a one
  costs the promised 95 %. The interval speaks of longer drives through these streets.

Percentiles of few clips or blocks lie too close together, so they are widened, by three factors of
which each is 1 for many:

* for clips, t_(n-1) sqrt(n / (n - 1)) / z (Hesterberg, "What teachers should know about the
  bootstrap", 2015), n the number of equal clips;
* for blocks, the critical value of Kiefer and Vogelsang (Econometric Theory 2005, table 1, Bartlett
  kernel) at b = l / n over z: the variance itself is uncertain;
* for blocks, what they miss of the variance of a series with that r beside what they miss of one
  with r = 0, which the former factor holds already (:func:`captured`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from vssbench.core.errors import DataError, UsageError
from vssbench.core.shown import plural
from vssbench.metrics.iou import Floats
from vssbench.metrics.scores import Ints

LEVEL = 0.95
#: equal clips from which on clips are drawn, not blocks of frames: three, or a few more of unequal
#: lengths
MIN_CLIPS = 2.5
#: labelled frames, and blocks, under which there is no interval
MIN_FRAMES, MIN_BLOCKS = 10, 3
MIN_REPLICATES = 100
#: the normal distribution's 97.5 % point
_Z = 1.959964
#: 97.5 % point of a mean over its standard error from blocks of b times its length: polynomial in b
_FIXED_B = (1.9600, 2.9694, 0.4160, -0.5324)
#: no correlation of neighbours is believed to be greater
_MOST_CORRELATED = 0.97


@dataclass(frozen=True)
class Resampling:
    """The way in which an interval was made.

    It says what was drawn (``clips`` or ``blocks``), of how many clips in how many groups (as many
    where each clip is drawn by itself) and labelled frames, the
    block's length in labelled frames (0 for clips), the correlation of neighbours (None for clips),
    by what factor percentiles were widened, replicates and seed.
    """

    units: str
    clips: int
    frames: int
    block: int
    correlation: float | None
    widening: float
    replicates: int
    seed: int
    groups: int

    def describe(self) -> str:
        """Describe the resampling in words, for a table's note."""
        grouped = self.groups != self.clips
        places = f"{plural(self.groups, 'group')} of " if grouped else ""
        places += plural(self.clips, "clip")
        drawn = f"{places} drawn whole"
        if self.units == "blocks":
            drawn = (
                f"blocks of {self.block} consecutive labelled frames, of {self.frames} in {places}"
            )
        return f"95 % bootstrap interval: {drawn}, {self.replicates} replicates, seed {self.seed}"


def described(made: Iterable[Resampling]) -> list[str]:
    """Describe several resamplings, those of the same frames in one line whatever their blocks."""
    alike: dict[Resampling, list[Resampling]] = {}
    for each in made:
        alike.setdefault(replace(each, block=0, correlation=None, widening=1.0), []).append(each)
    lines = []
    for its in alike.values():
        least, most = (choose(each.block for each in its) for choose in (min, max))
        words = replace(its[0], block=least).describe()
        if most > least:
            words = words.replace(f"blocks of {least} ", f"blocks of {least} to {most} ")
        lines.append(f"{words}.")
    return lines


def plan(
    influence: Floats,
    lengths: Ints,
    block: int | None,
    replicates: int,
    seed: int,
    clips: int | None = None,
) -> Resampling:
    """Choose what is drawn, of clips, or groups of ``clips`` clips in all, with so many labelled
    frames each (K,).

    Raises DataError, UsageError.
    """
    groups, frames = len(lengths), int(lengths.sum())
    clips = groups if clips is None else clips
    if replicates < MIN_REPLICATES:
        raise UsageError(f"{replicates} replicates: expected at least {MIN_REPLICATES}")
    if frames < MIN_FRAMES:
        raise DataError(
            f"no interval of {plural(frames, 'labelled frame')}: expected at least {MIN_FRAMES}"
        )
    if block is None and equal_clips(lengths) >= MIN_CLIPS:
        return Resampling(
            "clips", clips, frames, 0, None, widening_of_clips(lengths), replicates, seed, groups
        )
    longest = min(int(lengths.max()), frames // MIN_BLOCKS)
    if block is not None and not 1 <= block <= longest:
        raise UsageError(f"blocks of {block} of {frames} labelled frames: expected 1 to {longest}")
    correlation = neighbours_correlation(influence, lengths)
    cautious = min(correlation + math.sqrt((1 - correlation**2) / frames), _MOST_CORRELATED)
    length = min(block_length(cautious, frames), longest) if block is None else block
    share = length / frames
    widening = sum(factor * share**power for power, factor in enumerate(_FIXED_B)) / _Z
    widening *= math.sqrt(captured(0.0, lengths, length) / captured(cautious, lengths, length))
    return Resampling(
        "blocks", clips, frames, length, correlation, widening, replicates, seed, groups
    )


def equal_clips(lengths: Ints) -> float:
    """Return the number of equal clips that tell as much of the spread as unequal ones.

    For clips of so many frames each it is n^2 / sum n_k^2 with n = sum n_k (Kish, "Survey
    Sampling", 1965). Of 100 frames and two clips of 10 it is 1.4, little more than one.
    """
    return float(lengths.sum() ** 2 / (lengths.astype(np.float64) ** 2).sum())


def widening_of_clips(lengths: Ints) -> float:
    """Return the factor by which percentiles of clips are widened; see the head of this file.

    The clips have so many frames each.
    """
    equal = equal_clips(lengths)
    return student(equal - 1) * math.sqrt(equal / (equal - 1)) / _Z


def neighbours_correlation(series: Floats, lengths: Ints) -> float:
    """Return the correlation of neighbours in clips of so many frames each, whose values follow
    each other in ``series`` (n,).

    Corrected for its bias, - (1 + 3 r) / n in a series of n (Kendall 1954), and held within 0 ..
    0.97.
    """
    deviations = series - series.mean()
    inside = np.ones(len(series), bool)
    inside[np.cumsum(lengths)[:-1]] = False
    pairs = deviations[1:][inside[1:]] * deviations[:-1][inside[1:]]
    spread = float((deviations**2).mean())
    if not pairs.size or spread == 0:
        return 0.0
    measured = float(pairs.mean()) / spread
    return min(max(measured + (1 + 3 * measured) / len(series), 0.0), _MOST_CORRELATED)


def block_length(correlation: float, frames: int) -> int:
    """Return the block's length of so many frames whose neighbours have that correlation; see the
    head of this file."""
    curvature = 4 * correlation**2 / (1 - correlation**2) ** 2
    return max(1, math.ceil((1.5 * curvature * frames) ** (1 / 3)))


def captured(correlation: float, lengths: Ints, block: int) -> float:
    """Return the share of a mean's variance that its circular blocks are expected to show.

    The correlation of a k-th neighbour is ``correlation`` to the power k. Less than 1: blocks cut
    what reaches further, and the mean itself is estimated.

    With c(k) the mean product of values k apart round each clip and V the mean's variance, blocks
    show sum_(|k| < l) (1 - |k| / l) (c(k) - V) / n (Politis and Romano 1992); for a clip shorter
    than a block this is near enough.
    """
    frames = int(lengths.sum())
    within = sum(_powers_sum(correlation, int(length)) for length in lengths) / frames**2
    shown = 0.0
    for lag in range(block):
        products = (
            sum(_round_product(correlation, int(length), lag) * int(length) for length in lengths)
            / frames
        )
        shown += (1 if lag == 0 else 2) * (1 - lag / block) * (products - within) / frames
    return shown / within


def _powers_sum(correlation: float, length: int) -> float:
    """Compute the sum of correlation^|i - j| over i, j < length."""
    lags = np.arange(1, length)
    return length + 2 * float(((length - lags) * correlation**lags).sum())


def _round_product(correlation: float, length: int, lag: int) -> float:
    lag = lag % length
    return float(
        ((length - lag) * correlation**lag + (lag * correlation ** (length - lag) if lag else 0.0))
        / length
    )


@lru_cache
def student(degrees: float) -> float:
    """Return the 97.5 % point of Student's distribution, of one degree of freedom or more.

    With t = sqrt(df) tan(a), the density is proportional to cos(a)^(df - 1): integrated by the
    trapezoidal rule.
    """
    angles = np.linspace(0, math.pi / 2, 200_001)
    heights = np.cos(angles) ** (degrees - 1)
    area = np.concatenate([[0.0], np.cumsum((heights[1:] + heights[:-1]) / 2)])
    return math.sqrt(degrees) * math.tan(float(np.interp(LEVEL * area[-1], area, angles)))


def weights(
    resampling: Resampling, lengths: Ints, replicates: int, random: np.random.Generator
) -> Floats:
    """Draw labelled frames: how often each is drawn, float64 (R, U)."""
    if resampling.units == "clips":
        clips = _tosses(len(lengths), len(lengths), replicates, random)
        return np.repeat(clips, lengths, axis=1)
    whole, rest = divmod(resampling.frames, resampling.block)
    drawn = _spread(
        _tosses(whole, resampling.frames, replicates, random), lengths, resampling.block
    )
    if rest:
        drawn += _spread(_tosses(1, resampling.frames, replicates, random), lengths, rest)
    return drawn


def _tosses(number: int, places: int, replicates: int, random: np.random.Generator) -> Floats:
    """Toss so many times among ``places``; count how many fell on each, float64 (R, places).

    All places are equally likely.
    """
    fallen = (
        random.integers(0, places, (replicates, number)) + places * np.arange(replicates)[:, None]
    )
    return (
        np.bincount(fallen.ravel(), minlength=replicates * places)
        .reshape(replicates, places)
        .astype(np.float64)
    )


def _spread(starts: Floats, lengths: Ints, block: int) -> Floats:
    """Lay blocks round each clip from ``starts`` (R, U); count each frame's blocks, (R, U).

    In a clip that is shorter than the block, a block is the clip.
    """
    covered = np.empty_like(starts)
    first = 0
    for length in lengths:
        own = slice(first, first + int(length))
        reach = min(block, int(length))
        round_the_end = np.concatenate(
            [starts[:, own][:, int(length) - reach :], starts[:, own]], axis=1
        )
        sums = np.cumsum(round_the_end, axis=1)
        covered[:, own] = sums[:, reach:] - sums[:, : int(length)]
        first += int(length)
    return covered
