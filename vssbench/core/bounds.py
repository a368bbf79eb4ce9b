"""Bounds of what is read from files: what lies beyond is refused before memory is taken for it.

Each bound has a default that no data of the field comes near, and an environment variable that
sets another; messages name it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from vssbench.core.errors import DataError, UsageError


@dataclass(frozen=True)
class Bound:
    """The most of something that is taken: ``variable`` sets it, in units of ``scale``."""

    variable: str
    default: int
    scale: int
    unit: str

    @property
    def most(self) -> int:
        """The bound that holds now. Raises UsageError where the variable is no whole number."""
        text = os.environ.get(self.variable, "")
        if not text:
            return self.default * self.scale
        if not text.isascii() or not text.isdecimal() or len(text) > 12 or int(text) < 1:
            raise UsageError(
                f"{self.variable}={text[:40]!r}: expected a whole number of {self.unit} from 1"
            )
        return int(text) * self.scale

    def check(self, found: int, what: str, kind: type[Exception] = DataError) -> None:
        """Raise an error of that kind where more was found than the bound; ``what`` says of
        what."""
        most = self.most
        if found > most:
            raise kind(
                f"{what}: {_count(found, self.scale)} {self.unit}, and at most "
                f"{_count(most, self.scale)} are taken; where that is right, set "
                f"{self.variable}={min(-(-found // self.scale), 10**12 - 1)}"
            )


def _count(number: int, scale: int) -> str:
    """Format a number in units of ``scale``, short whatever its length."""
    if number // scale >= 10**12:
        return "over 10^12"
    return f"{number / scale:.4g}" if scale > 1 and number < 10 * scale else f"{number // scale}"


#: threads of one process: more than any processor has cores
MOST_THREADS = 1024
#: of one picture, whether it is read, drawn or made; 8K has 33 million
PIXELS = Bound("VSSBENCH_MAX_MEGAPIXELS", 128, 10**6, "million pixels")
#: of the arrays of one file, once they are expanded; those of VSPW's validation have 3100
ARRAYS = Bound("VSSBENCH_MAX_ARRAYS_MIB", 4096, 1 << 20, "MiB of arrays")
#: of a results store in one file, once it is expanded; 280 runs of 101 frames have 40
ARCHIVE = Bound("VSSBENCH_MAX_ARCHIVE_MIB", 8192, 1 << 20, "MiB of runs")
#: of weights and checkpoints, once they are expanded
WEIGHTS = Bound("VSSBENCH_MAX_WEIGHTS_MIB", 4096, 1 << 20, "MiB of weights")
#: of a text that is read whole: lists of files, classes, rules, records
TEXT = Bound("VSSBENCH_MAX_TEXT_MIB", 64, 1 << 20, "MiB of text")
#: of one video that is made by a dataset; an hour at 30 frames/s has 108 000
FRAMES = Bound("VSSBENCH_MAX_FRAMES", 1_000_000, 1, "frames")
#: of one dataset that draws its clips
CLIPS = Bound("VSSBENCH_MAX_CLIPS", 10_000, 1, "clips")
#: of one grid of a sweep
EXPERIMENTS = Bound("VSSBENCH_MAX_EXPERIMENTS", 100_000, 1, "experiments")
#: of one list of files, clips or classes
LINES = Bound("VSSBENCH_MAX_LINES", 1_000_000, 1, "lines")
#: characters of one line of a list
LINE = Bound("VSSBENCH_MAX_LINE", 8192, 1, "characters")
#: in which a decoder gives no picture and no sign of life
SILENCE = Bound("VSSBENCH_MAX_DECODE_SECONDS", 300, 1, "seconds")


def check_all() -> None:
    """Raise UsageError where a variable of the environment sets a bound to what is no number.

    Else whatever is read first would be called damaged.
    """
    for bound in (
        PIXELS, ARRAYS, ARCHIVE, WEIGHTS, TEXT, FRAMES, CLIPS, EXPERIMENTS, LINES, LINE, SILENCE,
    ):  # fmt: skip
        _ = bound.most
