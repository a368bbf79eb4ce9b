"""What a codec is to the harness: the Codec interface, and how a rate is written."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from vssbench.errors import UsageError
from vssbench.video import Clip, Frame

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kM]?)")
_UNITS = {"": 1, "k": 1_000, "M": 1_000_000}


class Codec(ABC):
    """One codec at one setting. A plug-in's keyword-only arguments are its parameters in the bracket grammar."""

    #: shown in tables, as "H.264"
    title: ClassVar[str]
    #: whether decoded frames carry motion vectors
    has_motion: ClassVar[bool]

    #: frames from one keyframe to the next
    gop: int

    @abstractmethod
    def frames(self, clip: Clip, cache: Path | None = None, motion: bool = True) -> Iterator[Frame]:
        """Encode the clip and decode it as a stream of frames in display order, with distance, bits and motion.

        The bitstream is kept in the folder ``cache`` and read from there the next time; without one it is encoded to a
        temporary file. ``motion=False`` leaves the vectors unread. Raises DataError where frames do not fit the clip or
        the stream is broken.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All that determines what the decoded frames look like, as JSON values; part of a run's identity."""

    @abstractmethod
    def describe(self) -> str:
        """The codec and its rate for tables, as ``H.264 1 Mb/s``."""


def parse_rate(rate: str | int | float) -> int:
    """Bits per second from ``3M``, ``300k``, ``1.5M`` or a number. Raises UsageError where it does not read."""
    match = None if isinstance(rate, bool) else _RATE.fullmatch(str(rate).strip())
    bits = round(float(match[1]) * _UNITS[match[2]]) if match else 0
    if bits <= 0:
        raise UsageError(f"cannot read the bit rate {rate!r}: expected bits per second above 0, as 3M, 300k or 1500000")
    return bits


def format_rate(bits: int) -> str:
    """A rate for people: ``1 Mb/s``, ``300 kb/s``."""
    if bits >= _UNITS["M"]:
        return f"{bits / _UNITS['M']:g} Mb/s"
    return f"{bits / _UNITS['k']:g} kb/s"


def check_gop(gop: int) -> int:
    """A GOP length that can be used. Raises UsageError."""
    if isinstance(gop, bool) or not isinstance(gop, int) or gop < 1:
        raise UsageError(f"gop={gop!r} cannot be used: expected a whole number of frames from 1 up, as gop=12")
    return gop
