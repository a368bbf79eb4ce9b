"""The rate of a run: measured of what is video, unknown where frames came coded."""

from dataclasses import replace

import numpy as np
import pytest

from vssbench.core.video import Given
from vssbench.report.frames import results
from vssbench.report.rows import rows
from vssbench.report.streams import stream_title
from vssbench.run.measuring import measure
from vssbench.run.store import RunStore


def in_the_first_clip(patterns, **changes):
    """The patterns, their first clip changed and the second as it is."""

    class Changed(type(patterns)):
        def clips(self):
            first, second = super().clips()
            return [replace(first, **changes), second]

    return Changed()


def frames_given(length):
    still = np.zeros((64, 96, 2), np.float32)
    return Given(tuple(range(length)), lambda index: still, "another's files")


@pytest.mark.parametrize("codec", ["raw", "h264[bitrate=200k]"])
def test_stills_have_no_rate(make_experiment, stills, tmp_path, codec):
    store = RunStore(tmp_path / "runs")
    result = measure(make_experiment(codec=codec, dataset=stills), store, "test")
    assert (result.status, result.bitrate_kbps) == ("done", None)
    (row,) = rows([store.get(result.run_id)])
    assert "kbit/s" not in stream_title([row])


def test_the_rate_is_that_of_the_clips_that_are_video(make_experiment, patterns, tmp_path):
    dataset = in_the_first_clip(patterns, length=1)
    result = measure(make_experiment(dataset=dataset), RunStore(tmp_path / "runs"), "test")
    assert result.frames == 7
    assert result.bitrate_kbps == pytest.approx(24 * 64 * 96 * 15 / 1000)


@pytest.mark.parametrize("codec", ["raw", "raw[motion=given]"])
def test_frames_that_come_coded_have_no_known_rate_and_are_named(
    make_experiment, patterns, tmp_path, codec
):
    """Their size is not known, which is not 0; what coded them stands in the codec's place."""
    patterns.count = 1
    clip = patterns.clips()[0]

    class Coded(type(patterns)):
        def clips(self):
            return [replace(clip, length=3, given=frames_given(3))]

    store = RunStore(tmp_path / "runs")
    result = measure(make_experiment(codec=codec, dataset=Coded()), store, "test")
    assert (result.status, result.bitrate_kbps) == ("done", None)
    (row,) = rows([store.get(result.run_id)])
    assert stream_title([row]).startswith("given frames (another's files)")
    assert "kbit/s" not in stream_title([row])
    assert results(store.root, "frame")["bits"].isna().all()


def test_one_clip_of_unknown_size_makes_the_rate_unknown(make_experiment, patterns, tmp_path):
    dataset = in_the_first_clip(patterns, length=3, given=frames_given(3))
    result = measure(make_experiment(dataset=dataset), RunStore(tmp_path / "runs"), "test")
    assert (result.status, result.bitrate_kbps) == ("done", None)
