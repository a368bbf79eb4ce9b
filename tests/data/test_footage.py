"""Clips from a folder of images and from a video file."""

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from vssbench.core.errors import DataError
from vssbench.data.footage import FOLDER_FPS, footage


def images(count, height=48, width=64):
    rng = np.random.default_rng(0)
    return [np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(count)]


def write_folder(folder, pictures):
    folder.mkdir()
    for index, image in enumerate(pictures):
        Pillow.fromarray(image).save(folder / f"{index:03d}.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


def write_video(path, pictures, fps=25):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "1"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


def test_a_folder_in_the_order_of_names(tmp_path):
    pictures = images(4)
    clip = footage(write_folder(tmp_path / "drive", pictures))
    assert (clip.name, clip.length, clip.height, clip.width, clip.fps) == (
        "drive",
        4,
        48,
        64,
        FOLDER_FPS,
    )
    for found, expected in zip(clip.images(), pictures, strict=True):
        assert (found == expected).all()
    assert clip.label(0) is None


def test_a_video_file_in_any_order(tmp_path):
    pictures = images(5)
    clip = footage(write_video(tmp_path / "drive.mp4", pictures))
    assert (clip.length, clip.height, clip.width, clip.fps) == (5, 48, 64, 25.0)
    for index in (0, 1, 4, 2, 2, 0):
        assert np.abs(clip.image(index).astype(int) - pictures[index]).max() <= 6
    with pytest.raises(DataError, match="picture 5 is not there"):
        clip.image(5)


def test_the_fingerprint_follows_the_content(tmp_path):
    one = footage(write_folder(tmp_path / "one", images(2)))
    same = footage(write_folder(tmp_path / "same", images(2)))
    other = footage(write_folder(tmp_path / "other", images(3)))
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_what_is_no_footage(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="holds no image"):
        footage(empty)
    text = tmp_path / "notes.mp4"
    text.write_text("words")
    with pytest.raises(DataError, match="cannot be read as a video"):
        footage(text)
    mixed = footage(write_folder(tmp_path / "mixed", [*images(1), *images(1, 32)]))
    with pytest.raises(DataError, match="one size"):
        list(mixed.images())
