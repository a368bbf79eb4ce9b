"""``bench.py segment`` as a user meets it."""

from __future__ import annotations

import csv
import gc
import itertools
import os
import signal
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

from tests.segment.conftest import PLAIN, make, turn
from vssbench.cli import bench
from vssbench.core.errors import DataError, VssbenchError
from vssbench.datasets.camvid.labels import MERGED as CAMVID_CLASSES
from vssbench.segment.job import Work
from vssbench.segment.output import VideoWriter

__all__ = ["make"]  # the fixture
#: the cheapest that needs motion: one network on keyframes, labels moved between
WARP = ("-m", "warp", "-d", "synthetic")
COLOURS = np.array(list(CAMVID_CLASSES.values()))


def call(*arguments: object, status: int = 0):
    result = CliRunner().invoke(bench, ["segment", *(str(each) for each in arguments)])
    if isinstance(result.exception, VssbenchError):
        assert status == 2
        return result
    assert result.exit_code == status, result.output
    return result


def pictures(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "encoder", "options", "motion"),
    [
        ("a.mp4", "libx264", {}, "codec"),
        ("a.mov", "libx264", {"options": {}}, "estimated"),
        ("a.ts", "libx264", {}, "codec"),
        (
            "a.mkv",
            "libx265",
            {"options": {"x265-params": "log-level=none:keyint=4:min-keyint=4:scenecut=0"}},
            "codec",
        ),
        ("a.avi", "mpeg4", {"options": {}, "gop": 4}, "codec"),
        ("a.avi", "mpeg4", {"options": {}, "gop": 4, "bframes": 2}, "estimated"),
        ("a.mpg", "mpeg2video", {"options": {}, "gop": 4, "bframes": 2}, "codec"),
        (
            "a.webm",
            "libvpx-vp9",
            {"options": {"auto-alt-ref": "0", "lag-in-frames": "0", "deadline": "realtime"}},
            "codec",
        ),
        ("a.mkv", "libsvtav1", {"options": {"preset": "10"}}, None),
        ("a.avi", "mjpeg", {"options": {}, "pixel_format": "yuvj420p"}, ""),
        ("a.mkv", "ffv1", {"options": {}, "pixel_format": "yuv422p10le"}, None),
    ],
)
def test_every_codec_and_container(make, tmp_path, name, encoder, options, motion) -> None:
    video, out, stats = (
        make(name, encoder, length=9, **options),
        tmp_path / "out.mp4",
        tmp_path / "frames.csv",
    )
    result = call(video, *WARP, "-o", out, "--stats", stats)
    assert "9 frames in" in result.stdout
    assert len(pictures(out)) == 9
    table = rows(stats)
    assert [int(row["frame"]) for row in table] == list(range(9))
    assert table[0]["keyframe"] == "1"
    sources = {row["motion"] for row in table if row["keyframe"] == "0"}
    if motion == "codec" and encoder in ("libx265", "libvpx-vp9") and sources == {"estimated"}:
        pytest.skip(f"the vectors of {encoder} cannot be read here")
    if motion is not None:
        assert sources == ({motion} if motion else set())
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert int(stream.codec_context.colorspace) == 6


def test_motion_codec_and_reencode(make, tmp_path) -> None:
    video = make("a.mp4", options={}, length=9)
    out, stats = tmp_path / "out.mkv", tmp_path / "frames.csv"
    refused = call(video, *WARP, "-o", out, "--motion", "codec", status=2)
    assert "--motion estimated" in str(refused.exception)
    assert left(tmp_path) == ["a.mp4"]
    result = call(
        video, *WARP, "-o", out, "--reencode", "h264[gop=3,bitrate=300k]", "--stats", stats
    )
    assert "3 keyframes (33.3%)" in result.stdout
    assert "H.264 300 kb/s, through which the video went" in result.stdout
    assert [row["type"] for row in rows(stats)] == list("IPPIPPIPP")
    assert {row["motion"] for row in rows(stats)} == {"", "codec"}
    assert len(pictures(out)) == 9


@pytest.mark.usefixtures("decoded_here")
def test_the_stream_is_refused_on_the_way(make, tmp_path, monkeypatch) -> None:
    """A stream refused by a late reader is begun anew with estimated motion, with a message."""
    from vssbench.codec.vectors.mpeg import Mpeg4Vectors
    from vssbench.core.errors import MotionUnavailable

    plain = Mpeg4Vectors.picture

    def fails(self, index, picture, context):
        if index == 5:
            raise MotionUnavailable("frame 5 is of another kind")
        return plain(self, index, picture, context)

    monkeypatch.setattr(Mpeg4Vectors, "picture", fails)
    video, out = make("a.avi", "mpeg4", options={}), tmp_path / "out.mp4"
    result = call(video, *WARP, "-o", out)
    assert "beginning anew" in result.stderr
    assert "frame 5 is of another kind" in result.stdout
    assert len(pictures(out)) == 8


def test_palette_pngs(make, tmp_path) -> None:
    video, folder = make("a.mp4", size=(66, 98)), tmp_path / "labels"
    call(video, *WARP, "-o", folder, "--output", "palette", "--size", "64x96")
    assert left(folder) == [*(f"{index:06d}.png" for index in range(8)), "classes.csv"]
    with Pillow.open(folder / "000003.png") as picture:
        assert (picture.mode, picture.size) == ("P", (98, 66))
        assert np.array(picture).max() < 11
        shown = np.unique(np.array(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert (shown[:, None] == COLOURS).all(-1).any(-1).all()
    assert rows(folder / "classes.csv")[3] == {
        "value": "3",
        "name": "Road",
        "red": "128",
        "green": "64",
        "blue": "128",
    }
    again = call(video, *WARP, "-o", folder, "--output", "palette", status=2)
    assert "not empty" in str(again.exception)


def test_overlay_pngs_and_label_video(make, tmp_path) -> None:
    video = make("a.mp4")
    call(video, *WARP, "-o", tmp_path / "shown", "--alpha", "0.3", "--legend")
    with Pillow.open(tmp_path / "shown" / "000007.png") as picture:
        assert picture.mode == "RGB"
        assert picture.width == 96
        assert picture.height > 64
    call(video, *WARP, "-o", tmp_path / "labels.mp4", "--output", "labels")
    seen = (
        pictures(tmp_path / "labels.mp4")[0]
        .to_ndarray(format="rgb24")
        .reshape(-1, 1, 3)
        .astype(int)
    )
    assert np.median(np.abs(seen - COLOURS).max(-1).min(-1)) <= 12


def test_odd_sizes_and_variable_frame_rate(make, tmp_path) -> None:
    times = [0, 40, 50, 170, 180, 400, 410, 1000]
    video, out = (
        make("a.mkv", size=(65, 97), pixel_format="yuv444p", times=times),
        tmp_path / "out.mp4",
    )
    call(video, *WARP, "-o", out, "--size", "64x96")
    found = pictures(out)
    assert (found[0].height, found[0].width) == (66, 98)
    assert [round(1000 * picture.time) for picture in found] == times


def test_a_picture_that_is_to_be_turned(make, tmp_path) -> None:
    video, out = make("a.mp4", size=(64, 128)), tmp_path / "out.mp4"
    turn(video)
    result = call(video, *WARP, "-o", out, "--alpha", "0")
    assert "turned by 90 degrees clockwise" in result.stderr
    upright = pictures(out)[0]
    assert (upright.height, upright.width, upright.rotation) == (128, 64, 0)
    coded = pictures(video)[0].to_ndarray(format="rgb24").astype(int)
    assert np.abs(upright.to_ndarray(format="rgb24") - np.rot90(coded, -1)).mean() < 8


def test_a_longest_gop(make, tmp_path) -> None:
    endless = {
        **PLAIN,
        "x264-params": PLAIN["x264-params"].replace("keyint=6:min-keyint=6", "keyint=250"),
    }
    video, stats = make("a.mp4", options=endless, length=11), tmp_path / "frames.csv"
    call(video, *WARP, "-o", tmp_path / "out.mp4", "--max-gop", 4, "--stats", stats)
    assert [row["distance"] for row in rows(stats)] == list("01230123012")
    assert {row["motion"] for row in rows(stats)} == {"", "codec"}


def test_sound(make, tmp_path) -> None:
    video, out = make("a.mp4", sound="aac", length=20), tmp_path / "out.mp4"
    call(video, *WARP, "-o", out, "--audio")
    with av.open(str(out)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        sound = list(container.decode(audio=0))
    assert sum(frame.samples for frame in sound) == pytest.approx(20 * 1920, abs=2048)
    silent = call(make("b.mp4"), *WARP, "-o", out, "--audio", "--force", status=2)
    assert "holds no sound" in str(silent.exception)
    assert left(tmp_path) == ["a.mp4", "b.mp4", "out.mp4"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "out.gif"), "expected a video that ends in"),
        (("-o", "a.mp4"), "is read by this command"),
        (("-o", "a.mp4", "--force"), "is read by this command"),
        (("-o", "/dev/full"), "is a file without an ending"),
        (("-o", "absent/out.mp4"), "there is no folder"),
        (("-o", "out.mp4", "--output", "palette"), "need a folder"),
        (("-o", "out", "--audio"), "needs a video as output"),
        (("-o", "out.mp4", "--stats", "a.mp4"), "is read by this command"),
        (("-o", "out.mp4", "--stats", "out.mp4"), "is the video that is written"),
        (("-o", "out.mp4", "--reencode", "h264", "--max-gop", "9"), "put gop=N into"),
        (("-o", "out.mp4", "--reencode", "h264", "--motion", "codec"), "put motion=estimated into"),
        (("-o", "out.mp4", "-d", "cityscapes"), "no weights are shipped for 'cityscapes'"),
        (("-o", "out.mp4", "--weights", "absent.safetensors"), "no weight file"),
    ],
)
def test_what_cannot_be_done(make, tmp_path, monkeypatch, arguments, words) -> None:
    make("a.mp4")
    monkeypatch.chdir(tmp_path)
    result = call("a.mp4", *WARP, *arguments, status=2)
    assert words in str(result.exception)
    assert left(tmp_path) == ["a.mp4"]


def test_nothing_to_run(make, tmp_path) -> None:
    assert "nothing to run" in str(
        call(make("a.mp4"), "-o", tmp_path / "out.mp4", status=2).exception
    )


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_broken_files_leave_nothing(make, tmp_path, share) -> None:
    video = make("a.ts", length=12)
    content = bytearray(video.read_bytes())
    start = int(share * len(content))
    content[start : start + 600] = bytes(600)
    video.write_bytes(content)
    result = call(
        video, *WARP, "-o", tmp_path / "out.mp4", "--stats", tmp_path / "frames.csv", status=2
    )
    assert isinstance(result.exception, DataError)
    assert "broken" in str(result.exception)
    assert left(tmp_path) == ["a.ts"]


def test_a_file_that_breaks_off_without_an_error(make, tmp_path) -> None:
    video = make("a.mkv", length=30)
    video.write_bytes(video.read_bytes()[: int(0.6 * video.stat().st_size)])
    result = call(video, *WARP, "-o", tmp_path / "out.mp4")
    frames = len(pictures(tmp_path / "out.mp4"))
    assert 0 < frames < 27
    assert (
        f"tells of 1.2 s of video, but its pictures end after {frames / 25:.4g} s: it may be cut "
        "short" in result.stderr
    )
    whole = call(make("b.mkv", length=30), *WARP, "-o", tmp_path / "out.mp4", "--force")
    assert "cut short" not in whole.stderr


def test_files_that_are_there_are_not_written_over_unasked(make, tmp_path) -> None:
    video, out, stats = make("a.mp4"), tmp_path / "out.mp4", tmp_path / "frames.csv"
    for path in (out, stats):
        path.write_text("precious")
        refused = call(video, *WARP, "-o", tmp_path / "out.mp4", "--stats", stats, status=2)
        assert "is there already" in str(refused.exception)
        out.unlink(missing_ok=True)
    assert stats.read_text() == "precious"


def test_figures_go_to_a_full_device_or_through_a_link(make, tmp_path, full_device) -> None:
    video = make("a.mp4", length=3)
    full = call(video, *WARP, "-o", tmp_path / "out.mp4", "--stats", full_device, status=2)
    assert f"cannot write {full_device}: No space left on device" in str(full.exception)
    assert full_device.is_char_device()
    (tmp_path / "link.csv").symlink_to(tmp_path / "frames.csv")
    call(video, *WARP, "-o", tmp_path / "out.mp4", "--stats", tmp_path / "link.csv", "--force")
    assert len(rows(tmp_path / "frames.csv")) == 3
    assert (tmp_path / "link.csv").is_symlink()


def test_keyframes_alone_need_no_motion(make, tmp_path) -> None:
    video = make("a.avi", "mjpeg", pixel_format="yuvj420p", options={}, length=3)
    assert (
        "motion: none, every frame is a keyframe"
        in call(video, *WARP, "-o", tmp_path / "out.mp4").stdout
    )


def test_what_is_wrong_with_the_output_is_no_reason_to_begin_anew(make, tmp_path) -> None:
    result = call(make("a.mp4"), *WARP, "-o", tmp_path / "out.mp4", "--audio", status=2)
    assert "holds no sound" in str(result.exception)
    assert "beginning anew" not in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_told_to_end_leaves_nothing(make, tmp_path, monkeypatch, number) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    plain = VideoWriter.write

    def interrupted(self, picture, time) -> None:
        plain(self, picture, time)
        if time:
            assert len(left(tmp_path)) > 1
            signal.raise_signal(number)

    monkeypatch.setattr(VideoWriter, "write", interrupted)
    video = make("a.mp4")
    ends = {signal.SIGINT: 130, signal.SIGTERM: 128 + signal.SIGTERM}
    result = call(
        video,
        *WARP,
        "-o",
        tmp_path / "out.mp4",
        "--stats",
        tmp_path / "frames.csv",
        status=ends[number],
    )
    assert isinstance(result.exception, SystemExit)
    assert left(tmp_path) == ["a.mp4"]
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_full_disk(make, tmp_path, monkeypatch) -> None:
    def full(self, picture, time) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(VideoWriter, "write", full)
    video = make("a.mp4")
    result = call(video, *WARP, "-o", tmp_path / "out.mp4", status=2)
    assert "No space left" in str(result.exception)
    assert left(tmp_path) == ["a.mp4"]


def test_memory_does_not_grow(make, tmp_path, monkeypatch) -> None:
    """A thousand frames without a keyframe: nothing that came with a frame is kept."""
    endless = {
        "x264-params": PLAIN["x264-params"].replace("keyint=6:min-keyint=6", "keyint=100000"),
        "preset": "ultrafast",
    }
    video = make("a.mp4", options=endless, length=1000, image=np.zeros((64, 96, 3), np.uint8))
    frames, used = itertools.count(1), {}
    plain = Work.run

    def look() -> None:
        number = next(frames)
        if number in (200, 1000):
            gc.collect()
            used[number] = sys.getallocatedblocks(), resident_bytes()

    def watched(self):
        self.advance = look
        return plain(self)

    monkeypatch.setattr(Work, "run", watched)
    call(video, *WARP, "-o", tmp_path / "out.mp4")
    # one object a frame would be 800
    assert used[1000][0] - used[200][0] < 200
    # the allocator's own whims included; a frame in RGB each would take 15 MB
    assert used[1000][1] - used[200][1] < 12 << 20


def resident_bytes() -> int:
    """Memory of this process, 0 where the system does not tell."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if status.exists() else 0
