"""Bad predictions: each fault is one message that says what was found and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.conftest import Patterns
from vssbench.core.errors import DataError
from vssbench.core.video import Clip
from vssbench.exchange.layout import Layout
from vssbench.exchange.predictions import find, read
from vssbench.protocol import Dense, EveryDistance

SIZE = (64, 96)


class Sparse(Patterns):
    """Patterns with a label at frames 2 and 4 alone, which bear the names of files."""

    def _clip(self, seed: int) -> Clip:
        clip = super()._clip(seed)
        object.__setattr__(clip, "labelled", (2, 4))
        object.__setattr__(clip, "names", tuple(f"s{seed}_{number:03d}" for number in range(6)))
        return clip


@pytest.fixture
def layout() -> Layout:
    return Layout(Sparse().clips(), Dense(), 3)


def written(folder: Path, names: list[str]) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(np.ones(SIZE, np.uint8)).save(path)
    return folder


#: what the labelled frames of Sparse are called
NEEDED = [f"pattern{clip}/s{clip}_{frame:03d}.png" for clip in (0, 1) for frame in (2, 4)]


def test_labelled_frames_are_needed_and_others_may_be_there(layout: Layout, tmp_path: Path) -> None:
    written(tmp_path, [*NEEDED, "pattern1/s1_000.png"])
    (tmp_path / "notes.txt").write_text("any other file is left alone")
    (tmp_path / ".cache").mkdir()
    written(tmp_path / ".cache", ["x.png"])
    found = find(tmp_path, layout, 3, every=False)
    assert sorted(found.paths.values()) == sorted(
        [name.removesuffix(".png") for name in [*NEEDED, "pattern1/s1_000.png"]]
    )
    labels = found.read((0, 2, None))
    assert labels is not None
    assert (labels.dtype, labels.shape) == (np.uint8, SIZE)
    assert found.read((0, 0, None)) is None
    with pytest.raises(DataError, match="7 of 12 predictions are missing"):
        find(tmp_path, layout, 3, every=True)


def test_the_clips_folder_may_be_left_out_where_names_differ(
    layout: Layout, tmp_path: Path
) -> None:
    flat = written(tmp_path / "flat", [name.split("/")[1] for name in NEEDED])
    nested = written(tmp_path / "nested", NEEDED)
    one, other = (find(folder, layout, 3, every=False) for folder in (flat, nested))
    assert one.paths == other.paths
    assert one.digest() == other.digest()
    same = Layout(Patterns().clips(), Dense(), 3)  # 000000 in both clips
    with pytest.raises(DataError, match=r"12 of 12 .* first is pattern0/000000\.png"):
        find(flat, same, 3, every=False)


def test_what_is_missing_is_named(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent is no folder"):
        find(tmp_path / "absent", layout, 3, every=False)
    written(tmp_path, NEEDED[1:])
    with pytest.raises(DataError) as error:
        find(tmp_path, layout, 3, every=False)
    assert str(error.value) == (
        f"1 of 4 predictions are missing in {tmp_path}, the first is pattern0/s0_002.png (or .npy) "
        "for frame 2 of 'pattern0'. `python bench.py export` lists the names"
    )


def test_what_is_of_no_frame_is_named(layout: Layout, tmp_path: Path) -> None:
    written(tmp_path, [*NEEDED, "pattern0/s0_006.png"])
    with pytest.raises(
        DataError, match=r"holds 1 file named as no frame is, the first is pattern0/s0_006\.png"
    ):
        find(tmp_path, layout, 3, every=False)
    (tmp_path / NEEDED[0]).unlink()
    with pytest.raises(DataError, match=r"1 of 4 .* missing .*; it holds 1 file .*/s0_006\.png"):
        find(tmp_path, layout, 3, every=False)


def test_two_files_of_a_frame_are_refused(layout: Layout, tmp_path: Path) -> None:
    written(tmp_path, NEEDED)
    np.save((tmp_path / NEEDED[0]).with_suffix(".npy"), np.ones(SIZE, np.int64))
    with pytest.raises(DataError, match=r"s0_002\.npy and .*s0_002\.png are for the same frame"):
        find(tmp_path, layout, 3, every=False)
    (tmp_path / NEEDED[0]).with_suffix(".npy").unlink()
    shutil.copy(tmp_path / NEEDED[0], tmp_path / "s0_002.png")
    with pytest.raises(DataError, match=r"s0_002\.png are for the same frame"):
        find(tmp_path, layout, 3, every=False)


@pytest.mark.parametrize("ending", ["jpg", "bmp", "npz"])
def test_another_format_is_refused_by_its_name(layout: Layout, tmp_path: Path, ending: str) -> None:
    written(tmp_path, NEEDED)
    path = tmp_path / NEEDED[0]
    path.rename(path.with_suffix(f".{ending}"))
    with pytest.raises(DataError, match=rf"s0_002\.{ending} is {ending.upper()}: expected"):
        find(tmp_path, layout, 3, every=False)


def test_distances_have_folders(tmp_path: Path) -> None:
    layout = Layout(Sparse().clips(), EveryDistance(), 3)
    assert {place.path.split("/")[0] for place in layout.places} == {"d0", "d1", "d2"}
    names = [f"d{distance}/{name}" for distance in range(3) for name in NEEDED]
    found = find(written(tmp_path / "whole", names), layout, 3, every=False)
    assert len(found.files) == 12
    written(tmp_path / "flat", NEEDED)
    with pytest.raises(
        DataError,
        match=r"12 of 12 .* first is d0/pattern0/s0_002\.png .*a folder for each, d0 to d2",
    ):
        find(tmp_path / "flat", layout, 3, every=False)


def test_frames_of_one_name_are_refused() -> None:
    clips = Patterns().clips()
    object.__setattr__(clips[1], "name", "pattern0")
    with pytest.raises(DataError, match="would both be called pattern0/000000"):
        Layout(clips, Dense(), 3)


def test_names_stay_within_the_folder() -> None:
    (clip,) = Patterns(clips=1).clips()
    for name, folder in (("../up", "_._up"), ("a/b", "a_b"), ("c:d", "c_d"), (".x", "_x")):
        object.__setattr__(clip, "name", name)
        assert Layout([clip], Dense(), 3).places[0].path == f"{folder}/000000"


def saved(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Pillow.fromarray(pixels).save(path, **options)  # type: ignore[arg-type]
    return path


def test_pixels_that_are_no_classes(tmp_path: Path) -> None:
    labels = np.ones(SIZE, np.uint8)
    labels[5, 7] = 3
    path = saved(tmp_path / "value.png", labels)
    with pytest.raises(
        DataError, match=r"value\.png holds 3, first at x=7 y=5, which is no class: expected 0 to 2"
    ):
        read(path, SIZE, 3)
    np.save(tmp_path / "minus.npy", labels.astype(np.int64) - 2)
    with pytest.raises(DataError, match="holds -1, first at x=0 y=0"):
        read(tmp_path / "minus.npy", SIZE, 3)
    np.testing.assert_array_equal(read(path, SIZE, 4), labels)


def test_wrong_sizes(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.ones((32, 48), np.uint8))
    with pytest.raises(
        DataError, match=r"a\.png is 32x48 \(height x width\), and the frame's label 64x96"
    ):
        read(path, SIZE, 3)
    np.save(tmp_path / "a.npy", np.ones((64, 95), np.int64))
    with pytest.raises(DataError, match="is 64x95"):
        read(tmp_path / "a.npy", SIZE, 3)


def test_palettes_are_read_by_their_indices(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 3, SIZE).astype(np.uint8)
    picture = Pillow.fromarray(labels).convert("P")
    picture.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    picture.putdata(labels.ravel().tolist())
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png", SIZE, 3), labels)


def test_images_that_are_no_label_images(tmp_path: Path) -> None:
    grey = np.ones(SIZE, np.uint8)
    saved(tmp_path / "colour.png", np.ones((*SIZE, 3), np.uint8))
    saved(tmp_path / "wide.png", np.ones(SIZE, np.uint16))
    saved(tmp_path / "bits.png", np.ones(SIZE, bool))
    saved(tmp_path / "jpeg.png", grey, format="JPEG")
    (tmp_path / "cut.png").write_bytes((saved(tmp_path / "a.png", grey)).read_bytes()[:40])
    (tmp_path / "text.png").write_text("no image")
    for name, message in (
        ("colour", "has pixels of type RGB: expected one class index of 8 bits"),
        ("wide", "has pixels of type I;16: expected one class index"),
        ("bits", "has pixels of type 1: expected one class index"),
        ("jpeg", "is JPEG, which changes values as it is saved: expected a PNG"),
        ("cut", "cannot be read as an image"),
        ("text", "cannot be read as an image"),
    ):
        with pytest.raises(DataError, match=rf"{name}\.png {message}"):
            read(tmp_path / f"{name}.png", SIZE, 3)


def test_arrays_that_are_no_label_arrays(tmp_path: Path) -> None:
    arrays = {
        "scores": np.ones((3, *SIZE), np.float32),
        "floats": np.ones(SIZE, np.float64),
        "flags": np.ones(SIZE, bool),
        "stack": np.ones((1, *SIZE), np.int64),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(
            DataError, match=rf"{name}\.npy holds {array.dtype} of shape .*expected whole numbers"
        ):
            read(tmp_path / f"{name}.npy", SIZE, 3)
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").write_bytes(b"")
    for name in ("objects", "text", "empty"):
        with pytest.raises(DataError, match=rf"{name}\.npy cannot be read as an array"):
            read(tmp_path / f"{name}.npy", SIZE, 3)
