"""Colours of decoded pictures by their tags, held against FFmpeg's own scale filter and against the
formulas of the standards; grey images."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from vssbench.core.video import Image
from vssbench.data.colour import UNSPECIFIED, ToRgb, grey, luma, rgb, tags_of, untagged
from vssbench.data.movie import Movie
from vssbench.data.videofile import open_videofile

SIZE = (64, 96)
#: code point -> libswscale's matrix, the name of FFmpeg's filter, shares of red and blue in luma
MATRICES = {
    6: (Colorspace.ITU601, "bt601", (0.299, 0.114)),
    1: (Colorspace.ITU709, "bt709", (0.2126, 0.0722)),
    9: (Colorspace.BT2020, "bt2020", (0.2627, 0.0593)),
}
FORMATS = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")


def scene(height: int, width: int) -> Image:
    """Smooth colours with a few edges: half-resolution chroma is then no matter of taste."""
    rows, columns = np.mgrid[0:height, 0:width]
    ramps = [columns * 255 / width, rows * 255 / height, (rows + columns) * 255 / (height + width)]
    image = np.stack(ramps, -1)
    image[: height // 3, : width // 3] = (200, 60, 30)
    return image.astype(np.uint8)


def coded(image: Image, matrix: int, full: bool, form: str) -> av.VideoFrame:
    """A picture of planes, tagged in itself."""
    picture = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(image, "rgb24"),
        format=form,
        dst_colorspace=MATRICES[matrix][0],
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
    )
    picture.colorspace, picture.color_range = matrix, 2 if full else 1
    return picture


def by_filter(picture: av.VideoFrame, matrix: str, full: bool, siting: str = "center") -> Image:
    """RGB by FFmpeg's scale filter, which is told the picture's matrix and range, and where its
    chroma lies."""
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base="1/25",
    )  # fmt: skip
    told = (
        f"in_color_matrix={matrix}:in_range={'pc' if full else 'tv'}:"
        f"in_chroma_loc={siting}:flags=bilinear+accurate_rnd+full_chroma_int"
    )
    scale, form, sink = (
        graph.add("scale", told),
        graph.add("format", "rgb24"),
        graph.add("buffersink"),
    )
    source.link_to(scale)
    scale.link_to(form)
    form.link_to(sink)
    graph.configure()
    picture.pts = 0
    graph.push(picture)
    return graph.pull().to_ndarray()


def by_formula(picture: av.VideoFrame, shares: tuple[float, float], full: bool) -> Image:
    """RGB of a 4:4:4 picture, after ITU-R BT.601, BT.709 and BT.2020."""
    bits = picture.format.components[0].bits
    kind = np.uint8 if bits == 8 else np.uint16
    planes = [
        np.frombuffer(plane, kind).reshape(picture.height, -1)[:, : picture.width].astype(float)
        for plane in picture.planes
    ]
    unit = 1 << bits - 8
    black, luma_span, chroma_span = (0, (256 * unit) - 1, 256 * unit - 1) if full else (
        16 * unit, 219 * unit, 224 * unit
    )  # fmt: skip
    y = (planes[0] - black) / luma_span
    u, v = ((plane - 128 * unit) / chroma_span for plane in planes[1:])
    red, blue = shares
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.rint(255 * np.stack([r, g, b], -1)), 0, 255).astype(np.uint8)


def apart(one: Image, other: Image) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_colours_are_those_of_ffmpegs_filter(matrix: int, full: bool, form: str) -> None:
    _, name, shares = MATRICES[matrix]
    image = scene(*SIZE)
    picture = coded(image, matrix, full, form)
    found = rgb(picture)
    assert apart(found, by_filter(picture, name, full)) <= 2
    if form.startswith("yuv444"):
        assert apart(found, by_formula(picture, shares, full)) <= 2
        assert apart(found, image) <= 6


@pytest.mark.parametrize("wrong", [(1, False), (9, False), (6, True)])
def test_the_comparison_tells_another_matrix_or_range(wrong: tuple[int, bool]) -> None:
    matrix, full = wrong
    picture = coded(scene(*SIZE), 6, False, "yuv420p")
    assert apart(rgb(picture), by_filter(picture, MATRICES[matrix][1], full)) > 8


@pytest.mark.parametrize(
    ("height", "width", "matrix"),
    [(480, 640, 6), (576, 1024, 6), (704, 576, 6), (720, 1280, 1), (720, 960, 1), (544, 1026, 1)],
)
def test_untagged_pictures_are_taken_by_their_size(height: int, width: int, matrix: int) -> None:
    picture = coded(scene(height, width), matrix, False, "yuv420p")
    picture.colorspace, picture.color_range = UNSPECIFIED, 0
    name = MATRICES[matrix][1]
    assert untagged(height, width) == MATRICES[matrix][0]
    assert apart(rgb(picture), by_filter(picture, name, False)) <= 2


def test_a_pictures_own_tags_go_before_the_files() -> None:
    picture = coded(scene(*SIZE), 9, True, "yuv420p")
    own = tags_of(picture, matrix=1, whole=1)
    assert (own.matrix, own.range) == (Colorspace.BT2020, ColorRange.JPEG)
    picture.colorspace, picture.color_range = UNSPECIFIED, 0
    files = tags_of(picture, matrix=1, whole=2)
    assert (files.matrix, files.range) == (Colorspace.ITU709, ColorRange.JPEG)
    neither = tags_of(picture)
    assert (neither.matrix, neither.range) == (Colorspace.ITU601, ColorRange.MPEG)


def test_our_own_streams_are_bt601_whatever_their_size() -> None:
    picture = coded(scene(720, 1280), 6, False, "yuv420p")
    picture.colorspace = UNSPECIFIED
    assert apart(ToRgb()(picture, 720, 1280), by_filter(picture, "bt601", False)) <= 2


def clip(path: Path, matrix: int, full: bool, form: str, size: tuple[int, int]) -> Path:
    """A lossless H.264 file, tagged unless ``matrix`` is negative."""
    encoder = av.codec.Codec("libx264", "w").name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=25, options={"qp": "0", "preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *size, form
        if matrix > 0:
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = 2 if full else 1
        for _ in range(2):
            picture = coded(scene(*size), abs(matrix), full, form)
            if matrix < 0:
                picture.colorspace, picture.color_range = UNSPECIFIED, 0
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("matrix", "full", "form", "size"),
    [
        (6, False, "yuv420p", SIZE), (6, True, "yuv420p", SIZE),
        (1, False, "yuv420p", SIZE), (1, True, "yuv444p", SIZE),
        (9, False, "yuv420p10le", SIZE), (1, False, "yuv422p10le", SIZE),
        (-6, False, "yuv420p", SIZE), (-1, False, "yuv420p", (720, 1280)),
    ],
)  # fmt: skip
def test_colours_of_a_file(
    tmp_path: Path, matrix: int, full: bool, form: str, size: tuple[int, int]
) -> None:
    path = clip(tmp_path / "drive.mp4", matrix, full, form, size)
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
    expected = by_filter(first, MATRICES[abs(matrix)][1], full, "left")  # as H.264 has it
    assert apart(Movie(path).image(0), expected) <= 2
    assert apart(open_videofile(path).to_rgb()(first, *size), expected) <= 2


def test_grey_is_the_luma_of_bt601() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    assert np.abs(grey(image) - image @ np.array([0.299, 0.587, 0.114])).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("form", ["yuv420p", "yuv420p10le", "gray"])
def test_luma_of_a_picture(form: str) -> None:
    image = np.repeat(np.linspace(0, 255, 96).astype(np.uint8)[None], 64, 0)
    picture = av.VideoFrame.from_ndarray(np.repeat(image[..., None], 3, -1), "rgb24")
    found = luma(picture.reformat(format=form)).astype(int)
    assert found.shape == (64, 96)
    assert (np.diff(found, axis=1) >= 0).all()
    assert found[:, -1].min() - found[:, 0].max() >= 210
