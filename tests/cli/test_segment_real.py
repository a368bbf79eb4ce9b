"""Real videos through `segment`, where VSSBENCH_TEST_DATA holds them."""

from __future__ import annotations

import os
from pathlib import Path

import av
import pytest

from tests.cli.test_segment import call, rows

VIDEOS = Path(os.environ.get("VSSBENCH_TEST_DATA", "")) / "videos"


@pytest.mark.parametrize("name", ["highway_960x540.mp4", "highway_1280x720.mp4"])
def test_real_videos(tmp_path, name) -> None:
    video = VIDEOS / name
    if not os.environ.get("VSSBENCH_TEST_DATA") or not video.is_file():
        pytest.skip(f"VSSBENCH_TEST_DATA does not hold videos/{name}")
    out, stats = tmp_path / "out.mp4", tmp_path / "frames.csv"
    call(
        video, "-m", "warp", "-o", out, "--size", "135x240", "--stats", stats, "--legend", "--audio"
    )
    with av.open(str(video)) as source, av.open(str(out)) as result:
        expected = [(frame.time, frame.width) for frame in source.decode(video=0)]
        found = [(frame.time, frame.width) for frame in result.decode(video=0)]
    assert found == expected
    assert {row["motion"] for row in rows(stats) if row["keyframe"] == "0"} == {"codec"}
