"""A stream made visible, written in every form."""

import csv
import dataclasses
import math
from itertools import pairwise

import av
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw

from vssbench import lettering
from vssbench.codec.formats.h264 import H264
from vssbench.codec.formats.raw import Raw
from vssbench.codec.prediction import moved
from vssbench.core.errors import UsageError
from vssbench.view.overlay import INTRA
from vssbench.view.sheet import Coded, kilobits
from vssbench.view.show import CSV_FIELDS, Selection, Show, check_out, default_frame

LENGTH, HEIGHT, WIDTH, GOP = 10, 96, 128, 4


@pytest.fixture
def clip(pan):
    return pan(HEIGHT, WIDTH, LENGTH, (2.25, -1.5))


def show(clip, codec=None, **given):
    return Show(clip, codec or H264(gop=GOP, crf=20), **given)


def test_one_frame_as_a_picture(clip, tmp_path):
    out = tmp_path / "frame.png"
    steps = []
    drawing = show(clip, advance=steps.append)
    drawing.write(out, Selection(frame=2))
    picture = np.asarray(Pillow.open(out))
    # enlarged 8 times (960 / 128, rounded), with a title above, legend and strip below
    assert picture.shape[1] == 8 * WIDTH
    assert picture.shape[0] > 8 * HEIGHT + 200
    assert picture.shape[0] % 2 == 0
    assert (picture[0] == 255).all()
    assert steps == ["encode"] * LENGTH + ["draw"]
    assert drawing.steps(out, Selection(frame=2)) == len(steps)


def test_pictures_differ_between_frames_and_fields_and_repeat_to_the_byte(clip, tmp_path):
    files = {}
    for name, selection, field in (
        ("a", Selection(frame=2), "own"),
        ("b", Selection(frame=3), "own"),
        ("c", Selection(frame=2), "keyframe"),
        ("again", Selection(frame=2), "own"),
    ):
        show(clip, field=field).write(tmp_path / f"{name}.jpg", selection)
        files[name] = (tmp_path / f"{name}.jpg").read_bytes()
    assert files["a"] == files["again"]
    assert len(set(files.values())) == 3


def test_the_default_frame_is_the_middle_p_of_the_first_gop(clip, tmp_path):
    for name, selection in (("given.jpg", Selection(frame=2)), ("default.jpg", Selection())):
        show(clip).write(tmp_path / name, selection)
    assert (tmp_path / "given.jpg").read_bytes() == (tmp_path / "default.jpg").read_bytes()

    def coded(types):
        return [Coded(letter, index % 6, 1, 30.0) for index, letter in enumerate(types)]

    assert default_frame(coded("IBBPBPIBBP")) == 5
    assert default_frame(coded("I")) == 0


def test_a_contact_sheet(clip, tmp_path):
    show(clip).write(tmp_path / "sheet.jpg", Selection(span=(0, GOP)))
    picture = np.asarray(Pillow.open(tmp_path / "sheet.jpg")).astype(int)
    assert picture.shape[1] >= 2 * 640
    # the bars: an I-frame's in full amber, those of the other GOPs faded
    strip = picture[-200:]
    assert (np.abs(strip - INTRA).max(-1) < 12).sum() > 50


def test_a_clips_name_is_written_in_any_script(clip, tmp_path, monkeypatch):
    """By a font that has the letters; where none is installed, by their numbers, with a word."""
    drawn, notes = [], []
    plain = ImageDraw.ImageDraw.text

    def text(self, xy, words, *given, **more):
        font = next(each for each in (*given, more.get("font")) if hasattr(each, "path"))
        drawn.append((words, font.path))
        return plain(self, xy, words, *given, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    for name in ("Дорога 1", "\u2312 film"):  # of the other, fonts of matplotlib have the letter
        named = dataclasses.replace(clip, name=name)
        show(named, Raw(gop=GOP), note=notes.append).still(Selection(frame=0))
        (path,) = {path for words, path in drawn if words.startswith(name)}
        assert lettering.has_all(path, name)
    assert all("letters" not in note for note in notes)
    monkeypatch.setattr(lettering, "_installed", list)
    named = dataclasses.replace(clip, name="街景.mp4")
    show(named, Raw(gop=GOP), note=notes.append).still(Selection(frame=0))
    assert any(words.startswith("<U+8857 U+666F>.mp4, 128x96") for words, _ in drawn)
    assert sum("no installed font has the letters" in note for note in notes) == 1


@pytest.mark.parametrize("name", ["motion.mp4", "motion.mkv", "motion.gif"])
def test_videos(clip, tmp_path, name):
    drawing = show(clip, H264(gop=GOP, crf=20, bframes=2))
    drawing.write(tmp_path / name, Selection(span=(1, 6)))
    with av.open(str(tmp_path / name)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 5
    assert frames[0].shape[1] == 8 * WIDTH
    assert all(np.abs(one.astype(int) - other).mean() > 0.5 for one, other in pairwise(frames))


def test_a_table_has_the_numbers_of_each_frame(clip, tmp_path):
    codec = H264(gop=GOP, crf=20)
    show(clip, codec).write(tmp_path / "frames.csv", Selection())
    with (tmp_path / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_FIELDS
    assert [row["type"] for row in rows] == [
        "I" if index % GOP == 0 else "P" for index in range(LENGTH)
    ]
    keyframe = None
    for row, frame in zip(rows, codec.frames(clip), strict=True):
        keyframe = frame.image if frame.distance == 0 else keyframe
        assert int(row["frame"]) == frame.index
        assert int(row["distance"]) == frame.distance
        assert int(row["bits"]) == frame.bits
        assert float(row["psnr_db"]) == pytest.approx(frame.psnr_db, abs=1e-3)
        assert float(row["intra_share"]) == pytest.approx(frame.motion.intra_share, abs=1e-3)
        lengths = np.hypot(frame.motion.grid[..., 0], frame.motion.grid[..., 1])
        assert float(row["mean_vector"]) == pytest.approx(lengths.mean(), abs=1e-3)
        error = np.abs(moved(keyframe, frame.motion.grid, 8) - frame.image).mean()
        assert float(row["warp_error"]) == pytest.approx(error, abs=1e-3)


def test_without_motion_it_is_drawn_and_said_once(clip, tmp_path):
    notes = []
    drawing = show(clip, H264(gop=GOP, refs=3), note=notes.append)
    drawing.write(tmp_path / "frame.png", Selection())
    assert len(notes) == 1
    assert "without motion vectors: refs=3" in notes[0]
    notes.clear()
    drawing = show(clip, Raw(gop=GOP), note=notes.append)
    drawing.write(tmp_path / "frames.csv", Selection(span=(2, 4)))
    assert len(notes) == 1
    with (tmp_path / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["2", "3"]
    assert all(row["warp_error"] == "" and math.isinf(float(row["psnr_db"])) for row in rows)


def test_an_odd_size_and_many_frames(pan, tmp_path):
    clip = dataclasses.replace(pan(33, 47, 2, (1, 0)), length=300)
    still = clip.image(0)
    clip = dataclasses.replace(clip, image=lambda index: still)
    show(clip, H264(gop=30, crf=30, preset="ultrafast")).write(
        tmp_path / "last.png", Selection(frame=299)
    )
    assert Pillow.open(tmp_path / "last.png").width == 20 * 47


@pytest.mark.parametrize(
    ("selection", "suffix", "words"),
    [
        (Selection(frame=10), ".png", "frames are 0 to 9"),
        (Selection(frame=-1), ".png", "out of range"),
        (Selection(frame=1, span=(0, 2)), ".png", "exclude each other"),
        (Selection(frame=1), ".mp4", "--frames A:B"),
        (Selection(span=(3, 3)), ".mp4", "out of range"),
        (Selection(span=(3, 11)), ".csv", "out of range"),
    ],
)
def test_selections_that_do_not_fit(selection, suffix, words):
    with pytest.raises(UsageError, match=words):
        selection.check(LENGTH, suffix)


def test_a_contact_sheet_has_an_end():
    with pytest.raises(UsageError, match="36"):
        Selection(span=(0, 37)).check(100, ".png")


def test_files_that_cannot_be_written(tmp_path):
    assert check_out(tmp_path / "a.PNG") == ".png"
    for name, words in (
        ("a.svg", "expected a name that ends in"),
        ("none/a.png", "does not exist"),
    ):
        with pytest.raises(UsageError, match=words):
            check_out(tmp_path / name)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        check_out(tmp_path / "b.png")


def test_bits_for_people():
    assert [kilobits(bits) for bits in (0, 400, 12_340, 3000, 123_456, 4_147_200)] == [
        "0",
        "0.4",
        "12.3",
        "3",
        "123",
        "4,147",
    ]
