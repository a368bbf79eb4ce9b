"""Rows as `vssbench.report.rows` makes them, without a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vssbench.report.rows import Row

MakeRow = Callable[..., Row]


@pytest.fixture
def make_row() -> MakeRow:
    """A complete row of a method that ran; keywords replace fields."""

    def make(display: str = "PSPNet18", **given: Any) -> Row:
        curve = [0.7039, 0.7029, None, 0.6957]
        row: Row = {
            "run_id": f"id-{display}", "method": "pspnet", "display": display, "dataset": "camvid",
            "dataset_title": "CamVid", "codec": "hevc[rate=3M]", "codec_title": "HEVC 3 Mbps", "protocol": "dense",
            "protocol_details": {"scored": "all"},
            "gop": 12, "frames": 233, "seconds": 9.5, "width": 960, "height": 720, "params": 11_700_000,
            "gmacs_key": 309.02, "gmacs_nonkey": 83.1, "gmacs_gop": 101.98, "bitrate_kbps": 3012.4,
            "precision": "fp32", "device": "cpu", "seed": 0, "created": "2026-01-01T00:00:00", "version": "0.1.0",
            "machine": "Xeon, 2 threads", "weights": "w.safetensors", "status": "done", "reason": "", "miou": 0.7008,
            "miou_by_distance": curve, "miou_0": curve[0], "miou_last": curve[-1],
            "per_class": {"road": 0.9, "sky_blue": None}, "latency_key_ms": 812.3, "latency_key_p90_ms": 840.1,
            "latency_nonkey_ms": 301.9, "latency_nonkey_p90_ms": 333.0, "decode_ms": 3.2, "motion_ms": 4.5,
        }  # fmt: skip
        assert given.keys() <= row.keys()
        return row | given

    return make


@pytest.fixture
def failed(make_row: MakeRow) -> Row:
    """A row of a method that failed: no accuracy, no times."""
    numbers = [name for name, value in make_row().items() if name.startswith(("miou", "latency")) and value is not None]
    missing: Row = dict.fromkeys(numbers)
    return make_row("DFF", status="failed", reason="no | motion_vectors\nin clip 7", per_class={}, **missing) | {
        "miou_by_distance": []
    }
