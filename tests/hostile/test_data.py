"""Hostile data of one's own: images, masks, lists, class files, variants as typed."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import PngImagePlugin

from tests.hostile.conftest import Campaign
from tests.hostile.mutators import of_bytes, of_text
from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import parse_variant
from vssbench.data.classes_file import read_classes
from vssbench.data.pictures import image_size, read_colours, read_ids, read_image

CLASSES = b"road, 128, 64, 128\ncar, 0, 0, 142\n-\nsky\nignore: 255, 9\n# a remark\n"
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "PPM", "TGA")


@pytest.fixture(scope="module")
def samples() -> dict[str, bytes]:
    pixels = np.random.default_rng(0).integers(0, 4, (12, 10, 3)).astype(np.uint8)
    found = {}
    for kind in FORMATS:
        for mode in ("RGB", "L"):
            made = io.BytesIO()
            Pillow.fromarray(pixels).convert(mode).save(made, kind)
            found[f"{kind} {mode}"] = made.getvalue()
    return found


def test_mutated_images(samples: dict[str, bytes], campaign: Campaign, tmp_path: Path) -> None:
    path = tmp_path / "image.png"

    def take(rng: random.Random) -> None:
        path.write_bytes(of_bytes(samples[rng.choice(sorted(samples))], rng))
        reader = rng.choice((read_image, read_colours, image_size, None))
        read_ids(path, range(4)) if reader is None else reader(path)

    for seed in campaign.seeds(0.4):
        campaign.attempt(seed, take)
    campaign.check()
    assert campaign.refused > 0
    assert campaign.sound > 0


def test_mutated_class_files(campaign: Campaign, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"

    def take(rng: random.Random) -> None:
        path.write_bytes(of_text(CLASSES, rng))
        read_classes(path)

    for seed in campaign.seeds(0.15):
        campaign.attempt(seed, take)
    campaign.check()
    assert campaign.refused > 0


VARIANTS = (
    b"arseg[backbone=psp18,scale=0.5]", b"synthetic[height=96,width=128,clips=1,frames=4,seed=1]",
    b"h264[bitrate=1M,gop=12]", b"copy[network=icnet[form=mmseg]]", b"folder[fps=25,first=2]",
)  # fmt: skip
KINDS = ("methods", "datasets", "codecs", "methods", "datasets")


def test_mutated_variants(campaign: Campaign) -> None:
    def take(rng: random.Random) -> None:
        number = rng.randrange(len(VARIANTS))
        text = of_text(VARIANTS[number], rng).decode(errors="surrogateescape")
        registry.resolved(KINDS[number], parse_variant(text))

    for seed in campaign.seeds(0.15):
        campaign.attempt(seed, take)
    campaign.check()
    assert campaign.refused > 0


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(
        ">I", zlib.crc32(name + content)
    )  # fmt: skip


def png(width: int, height: int) -> bytes:
    """A PNG that states a size and holds nothing of it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(60_000, 60_000), (20_000, 8_000)])
def test_an_image_of_too_many_pixels_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png(*size))
    with pytest.raises(DataError, match=r"million pixels, and at most 128 are taken"):
        read_image(path)
    with pytest.raises(DataError, match="VSSBENCH_MAX_MEGAPIXELS"):
        image_size(path)


def test_the_bound_of_pixels_can_be_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image.png"
    Pillow.new("RGB", (2000, 1000)).save(path)
    monkeypatch.setenv("VSSBENCH_MAX_MEGAPIXELS", "1")
    with pytest.raises(DataError, match="VSSBENCH_MAX_MEGAPIXELS=2"):
        read_image(path)
    monkeypatch.setenv("VSSBENCH_MAX_MEGAPIXELS", "2")
    assert read_image(path).shape == (1000, 2000, 3)
    monkeypatch.setenv("VSSBENCH_MAX_MEGAPIXELS", "many")
    with pytest.raises(UsageError, match="expected a whole number of million pixels"):
        read_image(path)


def test_a_large_text_in_an_image_is_a_message(tmp_path: Path) -> None:
    path = tmp_path / "text.png"
    told = PngImagePlugin.PngInfo()
    told.add_text("comment", "x" * 60_000_000, zip=True)
    Pillow.new("RGB", (4, 4)).save(path, pnginfo=told)
    for reader in (image_size, read_image):
        with pytest.raises(DataError, match=r"text\.png cannot be read as an image"):
            reader(path)


def test_a_header_that_is_cut_is_a_message(samples: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "image"
    refused = 0
    for content in samples.values():
        for length in range(0, 60, 3):
            path.write_bytes(content[:length])
            try:
                read_image(path)
            except DataError:
                refused += 1
    assert refused > 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clips with classes and a list."""
    for clip in ("one", "two"):
        for kind in ("frames", "labels"):
            (tmp_path / "data" / clip / kind).mkdir(parents=True)
            Pillow.new("L", (8, 6)).save(tmp_path / "data" / clip / kind / "0.png")
    (tmp_path / "data" / "classes.txt").write_text("road\ncar\n")
    (tmp_path / "data" / "test.txt").write_text("one\n")
    return tmp_path / "data"


def clips(root: Path, split: str = "test") -> list[str]:
    variant = parse_variant(f"folder[split={split}]")
    dataset = registry.create("datasets", variant, root=root)
    return [clip.name for clip in dataset.clips()]


@pytest.mark.parametrize("line", ["/etc", "../other", "one/../../other", "/"])
def test_a_list_names_no_place_outside_the_folder(line: str, folder: Path) -> None:
    (folder.parent / "other" / "frames").mkdir(parents=True)
    (folder / "test.txt").write_text(f"one\n{line}\n")
    with pytest.raises(DataError, match="leads out of"):
        clips(folder)


def test_a_list_in_the_folder_may_name_deeper_places(folder: Path) -> None:
    (folder / "test.txt").write_text("./one\n")
    assert clips(folder) == ["one"]


@pytest.mark.parametrize("name", ["test.txt", "classes.txt"])
def test_lists_of_any_length_are_messages(name: str, folder: Path) -> None:
    (folder / name).write_text("x" * 1_000_000)
    with pytest.raises(DataError, match=r"line 1 is too long: 1000000 characters"):
        clips(folder)
    (folder / name).write_text("class\n" * 100_000)
    with pytest.raises(DataError) as error:
        clips(folder)
    assert len(str(error.value)) < 1000


def test_too_many_classes_are_a_message(folder: Path) -> None:
    (folder / "classes.txt").write_text("\n".join(f"class {n}" for n in range(100_000)))
    with pytest.raises(DataError, match="names more than 256 values"):
        clips(folder)


def test_a_class_name_does_not_steer_the_terminal(folder: Path) -> None:
    (folder / "classes.txt").write_bytes(b"road\n\x1b]0;title\x07car\n")
    with pytest.raises(DataError, match=r"line 2 reads '\\x1b"):
        clips(folder)


@pytest.mark.parametrize("place", ["one/frames/0.png", "one/labels/0.png", "one/frames/1.png"])
def test_a_pipe_in_a_dataset_does_not_hang(place: str, folder: Path) -> None:
    (folder / place).unlink(missing_ok=True)
    os.mkfifo(folder / place)
    with pytest.raises(DataError, match=r"device or a pipe|is missing"):
        clips(folder)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("synthetic[frames=1000000000]", "1000000000 frames, and at most 1000000"),
        ("synthetic[clips=100000000]", "100000000 clips, and at most 10000"),
        ("synthetic[height=100000,width=100000]", "10000 million pixels, and at most 128"),
        (f"synthetic[frames={'9' * 5000}]", r"99999999\.\.\. \(5000 digits\) is too large"),
        ("synthetic[frames=1e999]", "1e999 is too large"),
    ],
)
def test_sizes_are_bounded_before_anything_is_made(given: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        registry.create("datasets", parse_variant(given))


def test_a_record_of_the_bounds_is_documented() -> None:
    from vssbench.core import bounds

    text = (Path(__file__).parents[2] / "docs" / "bounds.md").read_text()
    stated = [each for each in vars(bounds).values() if isinstance(each, bounds.Bound)]
    assert len(stated) >= 8
    for each in stated:
        assert f"`{each.variable}`" in text, json.dumps(each.variable)
        assert f"{each.default}" in text.replace(" ", "").replace("\u00a0", "")
