"""Still pictures: what is read from a file, and what is refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from vssbench.core.errors import DataError
from vssbench.data.pictures import image_size, read_colours, read_ids, read_image


def test_pixels_read_as_they_were_saved(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "colour.png")
    Pillow.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "colour.png"), pixels)
    np.testing.assert_array_equal(
        read_image(tmp_path / "grey.png"), np.repeat(pixels[..., :1], 3, axis=2)
    )
    np.testing.assert_array_equal(read_colours(tmp_path / "colour.png"), pixels)
    np.testing.assert_array_equal(read_ids(tmp_path / "grey.png", range(256)), pixels[..., 0])


def test_palette_image_of_indices_gives_the_indices(tmp_path: Path) -> None:
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Pillow.fromarray(indices).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette([value for index in range(12) for value in (20 * index, 0, 255 - index)])
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "palette.png", range(12)), indices)


def test_allowed_values_are_named_as_ranges(tmp_path: Path) -> None:
    Pillow.fromarray(np.full((2, 2), 9, np.uint8)).save(tmp_path / "nine.png")
    with pytest.raises(
        DataError, match=r"holds the label 9, first at x=0 y=0: allowed are 0\.\.2, 5, 255;"
    ):
        read_ids(tmp_path / "nine.png", {0, 1, 2, 5, 255})


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "grey.pgm"])
def test_grey_of_16_bits_is_scaled_to_8(tmp_path: Path, name: str) -> None:
    values = np.array([[0, 255, 256, 257], [32767, 32896, 65279, 65535]], np.uint16)
    Pillow.fromarray(values).save(tmp_path / name)
    found = read_image(tmp_path / name)
    assert found.dtype == np.uint8
    assert found[..., 0].tolist() == [[0, 1, 1, 1], [127, 128, 254, 255]]
    assert (found == found[..., :1]).all()


def deep_png(path: Path, values: np.ndarray, key: bytes = b"") -> Path:
    """A PNG of 16 bits, of colours, of grey or colours with alpha, or of colours of which one, the
    ``key``, is transparent."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    height, width, channels = values.shape
    kind = {2: 4, 3: 2, 4: 6}[channels]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
        + (chunk(b"tRNS", key) if key else b"")
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )
    return path


def rounded(values: np.ndarray) -> np.ndarray:
    return np.round(values * (255 / 65535)).astype(np.uint8)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_16_bits_are_scaled_to_8(tmp_path: Path, channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (6, 9, channels))
    if channels != 3:
        values[..., -1] = 65535
    found = read_image(deep_png(tmp_path / "frame.png", values))
    colours = values[..., :3] if channels > 2 else np.repeat(values[..., :1], 3, -1)
    np.testing.assert_array_equal(found, rounded(colours))
    assert (found != colours >> 8).any()  # which leaving out the lower byte gives


@pytest.mark.parametrize("compression", [1, 5, 8])
def test_colours_of_16_bits_in_tiff_too(tmp_path: Path, compression: int) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (6, 9, 3)).astype(np.uint16)
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression]
    assert cv2.imwrite(str(tmp_path / "frame.tif"), values[..., ::-1], options)
    np.testing.assert_array_equal(read_image(tmp_path / "frame.tif"), rounded(values))


def see_through(path: Path) -> None:
    """Write frames of which one pixel is transparent, in each way that a PNG has."""
    pixels = np.full((4, 4, 4), 255, np.uint8)
    pixels[1, 2] = (9, 9, 9, 254)
    Pillow.fromarray(pixels).save(path / "rgba.png")
    Pillow.fromarray(pixels[..., 2:]).save(path / "la.png")
    Pillow.fromarray(pixels[..., :3]).save(path / "key.png", transparency=(9, 9, 9))
    Pillow.fromarray(pixels[..., 0]).save(path / "grey.png", transparency=9)
    palette = Pillow.fromarray(pixels[..., :3]).convert("P")
    palette.save(path / "palette.png", transparency=bytes(256))
    deep = pixels.astype(np.uint16) * 257
    Pillow.fromarray(deep[..., 0]).save(path / "grey16.png", transparency=9 * 257)
    deep_png(path / "rgba16.png", deep)
    deep_png(path / "la16.png", deep[..., 2:])
    deep_png(path / "key16.png", deep[..., :3], struct.pack(">3H", *[9 * 257] * 3))


def test_transparent_frames_are_refused_and_opaque_ones_read(tmp_path: Path) -> None:
    see_through(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 9
    for name in names:
        with pytest.raises(DataError, match=rf"{name} has transparent pixels, .*opaque"):
            read_image(tmp_path / name)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 4), np.uint8)
    pixels[..., 3] = 255
    Pillow.fromarray(pixels).save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(read_image(tmp_path / "opaque.png"), pixels[..., :3])


@pytest.mark.parametrize(("mode", "name"), [("CMYK", "a.jpg"), ("CMYK", "a.tif"), ("LAB", "a.tif")])
def test_frames_of_inks_are_refused(tmp_path: Path, mode: str, name: str) -> None:
    Pillow.new(mode, (8, 8)).save(tmp_path / name)
    with pytest.raises(DataError, match=rf"has colours of type {mode}.*colour profile"):
        read_image(tmp_path / name)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_frames_are_read_the_right_way_up(tmp_path: Path, name: str, orientation: int) -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :8], pixels[8:, 24:] = 255, (0, 0, 255)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    Pillow.fromarray(pixels).save(tmp_path / name, exif=exif, quality=100)
    with Pillow.open(tmp_path / name) as file:
        expected = np.asarray(ImageOps.exif_transpose(file))
    found = read_image(tmp_path / name)
    np.testing.assert_array_equal(found, expected)
    assert image_size(tmp_path / name) == found.shape[1::-1]
    assert found.shape[0] == (32 if orientation > 4 else 16)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_values_of_unknown_range_are_refused(tmp_path: Path, kind: type) -> None:
    Pillow.fromarray(np.ones((4, 4), kind)).save(tmp_path / "frame.tif")
    with pytest.raises(DataError, match=r"frame\.tif has pixels of type [IF] .*32-bit"):
        read_image(tmp_path / "frame.tif")


@pytest.mark.parametrize(
    ("form", "options", "said"),
    [
        ("JPEG", {"quality": 100}, "is JPEG"),
        ("WEBP", {}, "is WEBP"),
        ("TIFF", {"compression": "jpeg"}, "is TIFF with jpeg inside"),
    ],
)
@pytest.mark.parametrize("read", [partial(read_ids, allowed=range(256)), read_colours])
def test_annotations_that_lose_values_are_refused(
    tmp_path: Path, form: str, options: dict[str, int], said: str, read: Callable[[Path], object]
) -> None:
    """Whatever the file's name says."""
    grey = np.random.default_rng(0).integers(0, 3, (16, 16), np.uint8)
    pixels = grey if isinstance(read, partial) else np.repeat(grey[..., None], 3, -1)
    Pillow.fromarray(pixels).save(tmp_path / "mask.png", form, **options)
    with pytest.raises(DataError, match=rf"mask\.png {said}, which changes values"):
        read(tmp_path / "mask.png")


def test_annotations_in_lossless_tiff_pass(tmp_path: Path) -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Pillow.fromarray(labels).save(tmp_path / "mask.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(read_ids(tmp_path / "mask.tif", range(12)), labels)
