"""``bench.py codec`` as a user meets it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

from vssbench.cli import bench
from vssbench.cli.codec import open_clip, read_span
from vssbench.codec.encode import encode
from vssbench.codec.formats.h264 import H264
from vssbench.core.errors import DataError, VssbenchError
from vssbench.view import inspect

STREET = "synthetic[height=64,width=96,clips=2,frames=5]"


def call(*arguments: object):
    return CliRunner().invoke(bench, ["codec", *(str(each) for each in arguments)])


@pytest.fixture
def video(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "drive.mkv"
    images = (np.full((48, 64, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(4))
    encode(images, path, H264(gop=2).encoder(), 25.0)
    return path


def test_info():
    result = call("info")
    assert result.exit_code == 0
    assert result.stdout.index("h264") < result.stdout.index("raw")
    assert "libx264" in result.stdout
    assert "common: gop=12" in result.stdout
    rows = json.loads(call("info", "h264", "--json").stdout)
    assert [row["codec"] for row in rows] == ["h264"]
    assert rows[0]["options"]["gop"] == 12
    every = json.loads(call("info", "--json").stdout)
    assert {"h264", "raw", "estimated"} <= {row["codec"] for row in every}


def test_info_says_what_is_missing(monkeypatch):
    found = inspect.Ability(
        "hevc",
        "HEVC",
        "libx265",
        "hevc",
        "",
        True,
        {},
        "libde265 is missing: pip install 'vssbench[hevc]'",
    )
    monkeypatch.setattr(inspect, "ability", lambda name: found)
    assert "hevc: libde265 is missing: pip install 'vssbench[hevc]'" in call("info", "hevc").stdout


def test_probe_of_a_named_codec():
    result = call("probe", "h264")
    assert result.exit_code == 0
    assert "right" in result.stdout
    assert "100.0%" in result.stdout
    refused = call("probe", "h264", "raw", "--json")
    assert refused.exit_code == 1
    h264, raw = json.loads(refused.stdout)
    assert (h264["codec"], h264["reason"]) == ("h264", "")
    assert raw["right"] is None
    assert "no vectors" in call("probe", "raw").stdout


def test_probe_of_all_never_fails(monkeypatch):
    trial = inspect.Trial(
        "hevc", "", 0.2, 0.9, 1.0, 1.0, None, "this build lays out its memory in another way"
    )
    monkeypatch.setattr(inspect, "probe", lambda variant: trial)
    result = call("probe")
    assert result.exit_code == 0
    assert "fails the test" in result.stdout
    assert "hevc: this build lays out" in result.stdout


def test_probe_of_a_file(video):
    result = call("probe", video)
    assert result.exit_code == 0
    for words in ("h264", "64x48 at 25 frames/s", "IPIP", "2, 2 frames long", "can be read"):
        assert words in result.stdout
    (found,) = json.loads(call("probe", video, "--json").stdout)
    assert (found["frames"], found["gops"], found["pattern"]) == (4, [2, 2], "IPIP")


def test_show_writes_what_the_ending_says(tmp_path):
    result = call("show", STREET, "-c", "h264[gop=3]", "-o", tmp_path / "a.png", "--frame", 2)
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'a.png'}\n"
    assert Pillow.open(tmp_path / "a.png").width == 960
    result = call(
        "show",
        f"{STREET}:test-01",
        "-c",
        "h264[gop=3]",
        "-o",
        tmp_path / "a.csv",
        "--frames",
        "1:4",
    )
    assert result.stdout == f"{tmp_path / 'a.csv'}\n"
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["1", "P", "1"],
        ["2", "P", "2"],
        ["3", "I", "0"],
    ]


def test_show_of_a_file_without_motion_says_so(tmp_path, video):
    result = call("show", video, "-c", "raw", "-o", tmp_path / "a.jpg")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'a.jpg'}\n"
    assert "drawn without motion vectors" in result.stderr


def test_clips(tmp_path, video):
    assert open_clip(STREET, None).name == "test-00"
    assert open_clip(f"{STREET}:test-01", None).name == "test-01"
    assert open_clip(str(video), None).length == 4
    Pillow.new("RGB", (32, 32)).save(tmp_path / "0.png")
    assert open_clip(str(tmp_path), None).length == 1
    assert read_span(" 3:12 ") == (3, 12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "nowhere", "-o", "a.png"], "neither a file, a folder nor a dataset"),
        (["show", f"{STREET}:test-07", "-o", "a.png"], "test-00, test-01"),
        (["show", "camvid", "-o", "a.png"], "pass --data-root"),
        (["show", STREET, "-o", "a.svg"], "expected a name that ends in"),
        (["show", STREET, "-o", "no/such/folder/a.png"], "does not exist"),
        (["show", STREET, "-o", "a.png", "--frame", "5"], "frames are 0 to 4"),
        (["show", STREET, "-o", "a.png", "--frames", "1-4"], "expected A:B"),
        (["show", STREET, "-o", "a.png", "-c", "h265"], "unknown codec"),
        (["info", "h265"], "unknown codec"),
        (["probe", "h264[gpo=3]"], "Did you mean 'gop'"),
        (["probe", "no/such/file.mp4"], "no/such/file.mp4"),
    ],
)
def test_bad_input_is_one_message(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert isinstance(result.exception, VssbenchError)
    assert words in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_without_clips(monkeypatch):
    from vssbench.core import registry

    monkeypatch.setattr(registry.load("datasets", "synthetic"), "clips", lambda self: [])
    with pytest.raises(DataError, match="holds no clip"):
        open_clip("synthetic", None)
