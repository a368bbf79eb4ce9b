"""Frames taken from raw videos: the right ones, checked, resumed, refused where video and stills do
not fit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.datasets import fakes
from vssbench.core.dataset import Preparation
from vssbench.core.errors import DataError, UsageError
from vssbench.data.colour import rgb
from vssbench.data.videofile import pictures
from vssbench.datasets.camvid import CamVid
from vssbench.datasets.camvid.prepare import MATRICES, take
from vssbench.datasets.camvid.raw_video import FOOTAGE

FRAMES = [fakes.scene(number) for number in range(60)]
#: labelled pictures of the file
LABELLED = (20, 26, 40)


def quiet(text: str) -> None:
    pass


def root_with(root: Path, shift: int = 0, size: int = 1) -> Path:
    """Stills of 0016E5 whose frames lie at LABELLED in the file, ``shift`` off what is expected;
    shrunk by ``size``."""
    first = FOOTAGE["0016E5"].first + shift
    lines = []
    for place in LABELLED:
        name = FOOTAGE["0016E5"].still(place + first)
        image = FRAMES[place]
        small = (
            image.reshape(64 // size, size, 96 // size, size, 3)
            .mean((1, 3))
            .round()
            .astype(np.uint8)
        )
        fakes.save(root / "train" / f"{name}.png", small)
        fakes.save(
            root / "trainannot" / f"{name}.png",
            fakes.mask(range(12), place, (96 // size, 64 // size)),
        )
        lines.append(f"train/{name}.png trainannot/{name}.png\n")
    (root / "train.txt").write_text("".join(lines))
    return root


def taken(root: Path, before: int = 2, after: int = 1, **more: object) -> list[str]:
    settings = {"videos": None, "splits": (), **more}
    return list(take(Preparation(root, before=before, after=after, **settings), quiet))  # type: ignore[arg-type]


@pytest.mark.parametrize("shift", [0, 2, -4])
def test_frames_around_labels_are_those_of_the_video(tmp_path: Path, shift: int) -> None:
    root = root_with(tmp_path, shift)
    film = fakes.mxf(root / "videos" / "0016E5.MXF", FRAMES)
    (report,) = taken(root)
    assert "wrote 12 frames" in report
    assert ("as expected" in report) == (shift == 0)
    decoded = [rgb(picture, MATRICES["BT.601"]) for picture in pictures(film)]
    files = sorted((root / "sequence" / "0016E5").glob("*.png"))
    expected = [place for label in LABELLED for place in range(label - 2, label + 2)]
    assert [int(path.stem[-5:]) for path in files] == [place - 1 + shift for place in expected]
    for path, place in zip(files, expected, strict=True):
        np.testing.assert_array_equal(np.array(Pillow.open(path)), decoded[place])


def test_frames_get_the_size_of_smaller_stills(tmp_path: Path) -> None:
    root = root_with(tmp_path, size=2)
    fakes.mxf(root / "0016E5.mxf", FRAMES)
    taken(root)
    (clip, *_) = CamVid(root=root, split="train", sequence="on").clips()
    assert (clip.width, clip.height) == (48, 32)


def test_camvid_reads_them_as_video_with_labels(tmp_path: Path) -> None:
    root = root_with(tmp_path)
    fakes.mxf(root / "raw" / "0016E5.MXF", FRAMES)
    taken(root, before=3, after=2)
    clips = CamVid(root=root, split="train", sequence="on").clips()
    assert [(clip.length, clip.labelled, clip.fps) for clip in clips] == [
        (12, (3, 9), 30.0),
        (6, (3,), 30.0),
    ]
    expected = fakes.mask(range(12), 26)
    np.testing.assert_array_equal(clips[0].label(9), np.where(expected == 11, 255, expected))
    assert clips[0].label(4) is None
    assert np.abs(clips[0].image(9).astype(int) - FRAMES[26]).mean() < 12


def test_an_interrupted_run_goes_on_and_leaves_what_is_there(tmp_path: Path) -> None:
    root = root_with(tmp_path)
    fakes.mxf(root / "0016E5.mxf", FRAMES)
    taken(root)
    folder = root / "sequence" / "0016E5"
    files = sorted(folder.glob("*.png"))
    contents = {path: path.read_bytes() for path in files}
    for path in files[::3]:
        path.unlink()
    os.utime(files[1], (1, 1))
    (report,) = taken(root)
    assert "wrote 4 frames" in report
    assert "8 were there" in report
    assert {path: path.read_bytes() for path in sorted(folder.glob("*.png"))} == contents
    assert files[1].stat().st_mtime == 1
    assert not list(folder.glob(".*"))
    assert "all 12 frames are in" in taken(root)[0]


def test_frames_of_another_video_are_not_mixed(tmp_path: Path) -> None:
    root = root_with(tmp_path)
    film = fakes.mxf(root / "0016E5.mxf", FRAMES)
    taken(root)
    film.write_bytes(film.read_bytes() + b"more")
    with pytest.raises(DataError, match="move that folder away first"):
        taken(root)
    (root / "sequence" / "0016E5" / "taken.json").write_text(json.dumps({"video": 1}))
    with pytest.raises(DataError, match=r"taken\.json cannot be read"):
        taken(root)


def test_a_video_that_lost_a_picture_is_refused(tmp_path: Path) -> None:
    root = root_with(tmp_path)
    extra = fakes.save(root / "train" / "0016E5_00049.png", FRAMES[50])
    fakes.save(root / "trainannot" / extra.name, fakes.mask(range(12)))
    with (root / "train.txt").open("a") as listing:
        listing.write(f"train/{extra.name} trainannot/{extra.name}\n")
    fakes.mxf(root / "0016E5.mxf", [*FRAMES[:45], *FRAMES[46:]])
    with pytest.raises(DataError, match=r"the still 0016E5_00049\.png in .*lost or repeated"):
        taken(root)


def test_another_drive_a_short_video_and_another_shape_are_refused(tmp_path: Path) -> None:
    root = root_with(tmp_path)
    film = root / "0016E5.mxf"
    fakes.mxf(film, [fakes.scene(number, seed=5) for number in range(60)])
    with pytest.raises(DataError, match="the stills are not found in it"):
        taken(root)
    fakes.mxf(film, FRAMES[:30])
    with pytest.raises(DataError, match="too short to hold"):
        taken(root)
    fakes.mxf(film, [fakes.scene(2 * number, (144, 64)) for number in range(60)])
    with pytest.raises(DataError, match=r"not found in it|whole multiple"):
        taken(root)


def test_missing_videos_are_said_with_what_to_do(tmp_path: Path) -> None:
    root = root_with(tmp_path)
    with pytest.raises(DataError, match=r"none of the raw videos 0016E5\.MXF is in"):
        taken(root)
    fakes.camvid(root)
    films = tmp_path / "films"
    stills = [fakes.scene(0, seed=1)] * 20 + [fakes.scene(0, seed=8)] * 30
    fakes.avi(films / "01tp_extract.AVI", stills)
    (films / "0016E5.zip.001").write_text("half")
    with pytest.raises(DataError, match=r"01tp_extract\.AVI: .*not found|too short"):
        taken(root, videos=films, splits=("test",))
    fakes.mxf(films / "0005VD.MXF", [fakes.scene(number) for number in range(40)])
    with pytest.raises(UsageError, match="no split 'all'"):
        taken(root, videos=films, splits=("all",))


def test_a_sequence_that_is_none_of_camvids_is_refused(tmp_path: Path) -> None:
    root = root_with(tmp_path)
    name = fakes.save(root / "train" / "0042XY_00001.png", FRAMES[1]).name
    fakes.save(root / "trainannot" / name, fakes.mask(range(12)))
    with (root / "train.txt").open("a") as listing:
        listing.write(f"train/{name} trainannot/{name}\n")
    with pytest.raises(
        DataError, match=r"0042XY_00001\.png is of the sequence '0042XY', which is none of CamVid's"
    ):
        taken(root)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    root = root_with(tmp_path)
    fakes.mxf(root / "0016E5.mxf", FRAMES)
    (root / "sequence").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write .*sequence.*goes on where it stopped"):
        taken(root)


def test_sequences_without_video_are_left_out_in_words(tmp_path: Path) -> None:
    root = fakes.camvid(tmp_path)
    place = 30
    fakes.save(root / "train" / "0001TP_006690.png", FRAMES[place])
    fakes.avi(root / "01TP_extract.avi", FRAMES)
    (root / "0016E5.zip.001").write_text("half")
    reports = taken(root, splits=("train",))
    assert reports[0].startswith("0001TP: wrote 4 frames")
    assert reports[1] == "0006R0: left out, there is no 0006R0.MXF"
    assert "join them with cat 0016E5.zip.* > 0016E5.zip" in reports[2]
    assert (
        sorted(path.name for path in (root / "sequence" / "0001TP").glob("*.png"))[0]
        == "0001TP_006688.png"
    )
