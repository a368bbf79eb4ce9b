"""The coded streams behind the rows: names, measured rates beside those asked for, quality."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vssbench.core.variant import format_value, parse_variant
from vssbench.core.video import GIVEN_FRAMES
from vssbench.report.rows import Row

#: parameters of a codec that say how many bits it may spend, and the GOP, which titles name in
#: words
_NAMED = ("bitrate", "crf", "qp", "gop")
LOSSLESS = "lossless"


def stream_title(rows: Sequence[Row], gop: bool = True, short: bool = False) -> str:
    """Return the stream that the rows share: ``H.264, 987 kbit/s measured (1 Mb/s asked), GOP 12``,
    parts unknown left out.

    Without the GOP if not ``gop``, and without the word "measured" if ``short``.
    """
    rate, asked = measured_rate(rows), rows[0]["codec_rate"]
    parts = [codec_title(rows[0])]
    if rate:
        parts.append(
            f"{rate} kbit/s{'' if short else ' measured'}" + (f" ({asked} asked)" if asked else "")
        )
    elif asked:
        parts.append(f"{asked} asked")
    if gop and rows[0]["gop"]:
        parts.append(f"GOP {rows[0]['gop']}")
    return ", ".join(parts)


def codec_title(row: Row) -> str:
    """Return the codec and its parameters beyond rate and GOP: ``H.264 preset=fast``. Old records
    name the rate asked for too."""
    if not row["codec_name"]:
        return row["codec_title"] or row["codec"]
    return " ".join(filter(None, [_name(row), settings(row)]))


def _name(row: Row) -> str:
    """Return the codec's name; old records call frames that came coded uncompressed, too."""
    old = parse_variant(row["codec"]).params.get("motion") == "given"
    name = str(row["codec_name"])
    return GIVEN_FRAMES if old and not name.startswith(GIVEN_FRAMES) else name


def settings(row: Row) -> str:
    """Return the parameters of the row's codec as typed, but for rate and GOP:
    ``preset=fast,bframes=2``."""
    params = parse_variant(row["codec"]).params
    return ",".join(
        f"{name}={format_value(value)}" for name, value in params.items() if name not in _NAMED
    )


def codec_key(row: Row) -> tuple[str, ...]:
    """Name and parameters of the row's codec in an order of their own; the GOP, typed or not, is in
    the row."""
    variant = parse_variant(row["codec"])
    return variant.name, *sorted(
        f"{name}={format_value(value)}" for name, value in variant.params.items() if name != "gop"
    )


def curve(row: Row, gop: bool) -> str:
    """Return the name of a line of points at several rates.

    It is the codec and its settings but the rate, and the GOP if wanted.
    """
    name = _name(row) or parse_variant(row["codec"]).name
    return " ".join(filter(None, [name, settings(row)])) + (f", GOP {row['gop']}" if gop else "")


def uncompressed(row: Row) -> bool:
    """Return whether the frames were never encoded, here or before they came here. Their rate then
    says nothing of a codec."""
    codec = parse_variant(row["codec"])
    given = row["codec_name"].startswith(GIVEN_FRAMES) or codec.params.get("motion") == "given"
    return codec.name == "raw" and not given


def measured_rate(rows: Sequence[Row]) -> str:
    """Return the measured rates of the rows in kbit/s: ``987``; ``987-1002`` where they differ, as
    between library versions."""
    return _span([row["bitrate_kbps"] for row in rows], "{:.0f}")


def quality_text(rows: Sequence[Row], name: str) -> str:
    """Return PSNR in dB with two decimals (``lossless`` where infinite) or SSIM with four, as a
    span where the rows differ."""
    return _span([row[name] for row in rows], {"psnr_db": "{:.2f}", "ssim": "{:.4f}"}[name])


def _span(values: Sequence[float | None], form: str) -> str:
    known = sorted(value for value in values if value is not None)
    texts = [LOSSLESS if math.isinf(value) else form.format(value) for value in known]
    return "-".join(dict.fromkeys([texts[0], texts[-1]])) if texts else ""
