"""Rows as `vssbench.report.rows` makes them, without a store; costs without counting."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from vssbench.report.paper import ours
from vssbench.report.paper.ours import Ours
from vssbench.report.rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MakeRow = Callable[..., Row]


@pytest.fixture
def make_row() -> MakeRow:
    """A complete row of a method that ran; keywords replace fields."""

    def make(display: str = "PSPNet18", **given: Any) -> Row:
        curve = [0.7039, 0.7029, None, 0.6957]
        row: Row = {
            "run_id": f"id-{display}", "method": "pspnet", "display": display, "dataset": "camvid",
            "dataset_title": "CamVid", "split": "val", "classes": 2, "data": "",
            "without": "", "void": "", "seen": "none",
            "codec": "hevc[bitrate=3M]", "codec_title": "HEVC 3 Mb/s",
            "codec_name": "HEVC", "codec_rate": "3 Mb/s", "psnr_db": 38.25, "ssim": 0.9604,
            "protocol": "dense",
            "protocol_details": {"scored": "all"}, "aggregate": "mean of mIoU_d", "remarks": [],
            "gop": 12,
            "frames": 233, "seconds": 9.5, "width": 960, "height": 720,
            "params": 11_700_000, "gmacs_key": 309.02, "gmacs_nonkey": 83.1, "gmacs_gop": 101.98,
            "bitrate_kbps": 3012.4,
            "precision": "fp32", "device": "cpu", "seed": 0, "created": "2026-01-01T00:00:00",
            "version": "0.1.0", "sources": {},
            "machine": "Xeon, 2 threads", "weights": "w.safetensors",
            "predictions": "", "typed": "", "status": "done",
            "reason": "", "miou": 0.7008,
            "miou_by_distance": curve, "miou_0": curve[0], "miou_last": curve[-1],
            "per_class": {"road": 0.9, "sky_blue": None}, "latency_key_ms": 812.3,
            "latency_key_p90_ms": 840.1,
            "latency_nonkey_ms": 301.9, "latency_nonkey_p90_ms": 333.0, "decode_ms": 3.2,
            "motion_ms": 4.5, "joules_key": 21.5, "joules_nonkey": 8.0, "joules_gop": 9.125,
            "energy": "processor packages (RAPL)",
        }  # fmt: skip
        assert given.keys() <= row.keys()
        return row | given

    return make


#: plug-in, title, and how much better (dB, points of mIoU) than MPEG-2 at the same rate
CODECS = (
    ("h264", "H.264", 2.1, 1.1), ("hevc", "HEVC", 3.0, 1.6), ("mpeg4", "MPEG-4", 0.9, 0.6),
    ("mpeg2", "MPEG-2", 0.0, 0.0),
    ("vp9", "VP9", 2.7, 1.4), ("av1", "AV1", 3.6, 1.9),
)  # fmt: skip
#: what encoders made of the rate that they were asked for
RATES = (("1M", "1 Mb/s", 1000.0), ("300k", "300 kb/s", 300.0))
METHODS = (
    ("pspnet", "PSPNet18", 309.02, 0.0), ("arseg", "AR0.5-PSP18", 101.98, 1.2), ("bisenet",
    "BiSeNet18", 58.83, -4.0),
    ("warp", "Warp PSPNet18", 25.75, -1.5), ("copy", "Copy PSPNet18", 25.75, -8.0),
    ("pspnet[scale=0.5]", "PSPNet18 0.5x", 78.9, -2.2),
)  # fmt: skip


@pytest.fixture
def sweep(make_row: MakeRow) -> Callable[..., list[Row]]:
    """Rows of the first ``methods`` methods under six codecs at two rates and, if ``raw``,
    uncompressed."""

    def made(methods: int = 2, raw: bool = True, **given: Any) -> list[Row]:
        return [make_row(**(fields | given)) for fields in swept(methods, raw)]

    return made


def swept(methods: int, raw: bool) -> list[dict[str, Any]]:
    """The fields of the rows of a sweep; accuracy rises with the rate and falls with the
    distance."""
    streams: list[tuple[dict[str, Any], float]] = []
    for place, (codec, title, decibels, points) in enumerate(CODECS):
        for typed, asked, kbps in RATES:
            octaves = math.log2(kbps / 300)
            quality = {
                "psnr_db": 33.1 + decibels + 3.2 * octaves,
                "ssim": 0.931 + 0.003 * decibels + 0.012 * octaves,
            }
            rate = {
                "bitrate_kbps": kbps * (1.11 - 0.03 * place),
                "codec_rate": asked,
                "codec": f"{codec}[bitrate={typed},gop=12]",
            }
            streams.append(
                (
                    {"codec_name": title, "codec_title": f"{title} {asked}"} | rate | quality,
                    points + 0.9 * octaves,
                )
            )
    if raw:
        named = {
            "codec_name": "uncompressed",
            "codec_title": "uncompressed",
            "codec_rate": "",
            "codec": "raw",
        }
        streams.append((named | {"bitrate_kbps": 62208.0, "psnr_db": math.inf, "ssim": 1.0}, 4.9))
    rows = []
    for stream, points in streams:
        for method, display, gmacs, better in METHODS[:methods]:
            miou = (50.0 + points + better + 0.3 * math.sin(points * 9 + gmacs)) / 100
            curve = [
                miou + 0.004 - 0.0008 * distance * (1.5 - better / 8) for distance in range(12)
            ]
            numbers = {
                "miou": miou,
                "miou_by_distance": curve,
                "miou_0": curve[0],
                "miou_last": curve[-1],
                "gmacs_gop": gmacs,
            }
            rows.append(stream | numbers | {"method": method, "display": display})
    return rows


@pytest.fixture
def failed(make_row: MakeRow) -> Row:
    """A row of a method that failed: no accuracy, no times."""
    numbers = [
        name
        for name, value in make_row().items()
        if name.startswith(("miou", "latency")) and value is not None
    ]
    missing: Row = dict.fromkeys(numbers)
    return make_row(
        "DFF", status="failed", reason="no | motion_vectors\nin clip 7", per_class={}, **missing
    ) | {"miou_by_distance": []}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that the code under test makes."""
    from vssbench.report import frame_times, heat_map, plots, rates, series, style

    made: list[Figure] = []

    @contextmanager
    def watched(*given: Any) -> Iterator[Any]:
        with style.sheet(*given) as (figure, axes):
            made.append(figure)
            yield figure, axes

    for module in (plots, rates, series, frame_times, heat_map):
        monkeypatch.setattr(module, "sheet", watched)
    return made


@pytest.fixture
def no_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs that need no network: those that are published, a little more."""
    monkeypatch.setattr(
        ours, "counted", lambda number: Ours(number["value"] + 0.5, same=True, counted=1.0)
    )
