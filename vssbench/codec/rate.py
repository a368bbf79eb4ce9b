"""Rate control as users write it: an average bit rate, a constant quality or a constant
quantiser."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vssbench.core.errors import UsageError

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kM]?)")
_UNITS = {"": 1, "k": 1_000, "M": 1_000_000}
DEFAULT_BITRATE = "3M"
#: a parameter that was not given
UNUSED = -1


@dataclass(frozen=True)
class Rate:
    """One of three, the others None: ``bit_rate`` in bits/s on average, ``crf`` or ``qp``."""

    bit_rate: int | None = None
    crf: float | None = None
    qp: int | None = None

    def describe(self) -> str:
        """Return the setting for people: ``1 Mb/s``, ``CRF 23``, ``QP 30``."""
        if self.bit_rate is not None:
            return format_rate(self.bit_rate)
        return f"CRF {self.crf:g}" if self.crf is not None else f"QP {self.qp}"


def rate_control(
    bitrate: str | int | float, crf: float = UNUSED, qp: int = UNUSED, crf_range: tuple[int,
    int] | None = None,
    qp_range: tuple[int, int] | None = None,
) -> Rate:  # fmt: skip
    """Return the rate that the parameters ask for. A range of None: the codec has no such control.
    Raises UsageError."""
    given = [f"{name}={value}" for name, value in (("crf", crf), ("qp", qp)) if value != UNUSED]
    if bitrate != DEFAULT_BITRATE:
        given.insert(0, f"bitrate={bitrate}")
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other: leave all but one out")
    if crf != UNUSED:
        return Rate(crf=within("crf", crf, *_controlled("crf", crf_range), whole=False))
    if qp != UNUSED:
        return Rate(qp=int(within("qp", qp, *_controlled("qp", qp_range))))
    return Rate(bit_rate=parse_rate(bitrate))


def _controlled(name: str, bounds: tuple[int, int] | None) -> tuple[int, int]:
    if bounds is None:
        other = "qp" if name == "crf" else "crf"
        raise UsageError(f"this codec's encoder has no {name}: use bitrate or {other}")
    return bounds


def within(name: str, value: int | float, low: int, high: int, whole: bool = True) -> int | float:
    """Return the value if it is a number in the range. Raises UsageError."""
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise UsageError(
            f"{name}={value!r} cannot be used: expected a {'whole ' * whole}number from {low} to "
            f"{high}"
        )
    return value


def parse_rate(rate: str | int | float) -> int:
    """Return bits per second from ``3M``, ``300k``, ``1.5M`` or a number. Raises UsageError where
    it does not read."""
    match = None if isinstance(rate, bool) else _RATE.fullmatch(str(rate).strip())
    bits = round(float(match[1]) * _UNITS[match[2]]) if match else 0
    if bits <= 0:
        raise UsageError(
            f"cannot read the bit rate {rate!r}: expected bits per second above 0, as 3M, 300k or "
            "1500000"
        )
    return bits


def format_rate(bits: int) -> str:
    """Return a rate for people: ``1 Mb/s``, ``300 kb/s``."""
    if bits >= _UNITS["M"]:
        return f"{bits / _UNITS['M']:g} Mb/s"
    return f"{bits / _UNITS['k']:g} kb/s"
