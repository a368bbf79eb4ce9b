"""Figures over the rate: what is drawn is what was measured, not what was asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vssbench.core.errors import UsageError
from vssbench.report.rates import quality, rate
from vssbench.report.rows import Row

MakeRow = Callable[..., Row]
Sweep = Callable[..., list[Row]]
Points = list[tuple[float, float]]


def lines(axes: Axes) -> list[Points]:
    """The data of all lines of more than a point, but for the level ones."""
    drawn = [[(float(x), float(y)) for x, y in line.get_xydata()] for line in axes.lines]  # type: ignore[union-attr]
    return sorted(points for points in drawn if len({y for _, y in points}) > 1)


def curves(rows: list[Row], *fields: str, of: Callable[[Row], float]) -> list[Points]:
    """Return the curves to be drawn.

    These are, for each combination of the fields, measured rate and value by rising rate.
    """
    found: dict[tuple[str, ...], set[tuple[float, float]]] = {}
    for row in rows:
        if row["codec"] != "raw":
            found.setdefault(tuple(row[field] for field in fields), set()).add(
                (row["bitrate_kbps"], of(row))
            )
    return sorted(sorted(points) for points in found.values())


def test_a_line_for_each_method_and_codec_at_measured_rates(
    sweep: Sweep, tmp_path: Path, figures: list[Figure]
) -> None:
    rows = sweep(2)
    assert rate(rows, tmp_path / "rate.png") == []
    (axes,) = figures[0].axes
    expected = curves(rows, "codec_name", "display", of=lambda row: 100 * row["miou"])
    assert len(expected) == 12
    assert lines(axes) == expected
    assert not {x for points in lines(axes) for x, _ in points} & {300.0, 1000.0}
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "measured bit rate (kbit/s)"
    assert (tmp_path / "rate.png").read_bytes().startswith(b"\x89PNG")


def test_colours_are_codecs_and_markers_methods(
    sweep: Sweep, tmp_path: Path, figures: list[Figure]
) -> None:
    rate(sweep(2, raw=False), tmp_path / "rate.png")
    drawn = figures[0].axes[0].lines
    assert len({line.get_color() for line in drawn}) == 6
    assert len({(line.get_marker(), line.get_linestyle()) for line in drawn}) == 2
    assert len({(line.get_color(), line.get_marker()) for line in drawn}) == 12
    methods, codecs = (
        [text.get_text() for text in legend.get_texts()] for legend in figures[0].legends
    )
    assert methods == ["AR0.5-PSP18", "PSPNet18"]
    assert codecs == ["AV1", "H.264", "HEVC", "MPEG-2", "MPEG-4", "VP9"]


def test_uncompressed_video_is_a_level_line_and_does_not_stretch_the_axis(
    sweep: Sweep, tmp_path: Path, figures: list[Figure]
) -> None:
    rows = sweep(2)
    rate(rows, tmp_path / "rate.png")
    (axes,) = figures[0].axes
    level = {float(line.get_ydata()[0]) for line in axes.lines if list(line.get_xdata()) == [0, 1]}  # type: ignore[index,arg-type]
    assert level == {100 * row["miou"] for row in rows if row["codec"] == "raw"}
    assert 200 < axes.get_xlim()[0] < 288
    assert 1110 < axes.get_xlim()[1] < 1500
    assert "uncompressed" in [text.get_text() for text in figures[0].legends[1].get_texts()]


def test_a_panel_for_each_dataset_with_its_own_y_axis(
    sweep: Sweep, tmp_path: Path, figures: list[Figure]
) -> None:
    rows = sweep(2) + [
        row | {"miou": row["miou"] / 2} for row in sweep(2, dataset="b", dataset_title="B")
    ]
    rate(rows, tmp_path / "rate.pdf")
    assert [axes.get_title() for axes in figures[0].axes] == [
        "B 720x960 / GOP 12 / dense",
        "CamVid 720x960 / GOP 12 / dense",
    ]
    assert figures[0].axes[0].get_ylim()[1] < figures[0].axes[1].get_ylim()[0]


def test_settings_other_than_the_rate_make_a_line_of_their_own(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    typed = (
        "hevc[crf=20]",
        "hevc[bitrate=1M]",
        "hevc[crf=20,preset=fast]",
        "hevc[bitrate=1M,preset=fast]",
    )
    rows = [
        make_row(codec=codec, bitrate_kbps=100.0 * n, miou=n / 10)
        for n, codec in enumerate(typed, 1)
    ]
    rate(rows, tmp_path / "rate.png")
    assert lines(figures[0].axes[0]) == [
        [(100, pytest.approx(10)), (200, pytest.approx(20))],
        [(300, pytest.approx(30)), (400, pytest.approx(40))],
    ]
    assert [text.get_text() for text in figures[0].legends[1].get_texts()] == [
        "HEVC",
        "HEVC preset=fast",
    ]
    rate([*rows, make_row(gop=4)], tmp_path / "rate.png")
    assert "HEVC, GOP 4" in [text.get_text() for text in figures[1].legends[1].get_texts()]


@pytest.mark.parametrize(("measure", "field"), [("psnr", "psnr_db"), ("ssim", "ssim")])
def test_quality_is_drawn_once_a_stream(
    sweep: Sweep, tmp_path: Path, figures: list[Figure], measure: str, field: str
) -> None:
    rows = sweep(3)
    left_out = quality(rows, tmp_path / "quality.png", measure)
    assert left_out == ["raw on camvid (nothing is lost)"]
    assert lines(figures[0].axes[0]) == curves(rows, "codec_name", of=lambda row: row[field])
    assert len(figures[0].axes[0].lines) == 6


def test_rows_that_cannot_be_drawn_are_named(
    make_row: MakeRow, failed: Row, tmp_path: Path
) -> None:
    old = make_row("Old", psnr_db=None, ssim=None)
    assert rate([make_row(), failed, make_row("New", bitrate_kbps=None)], tmp_path / "a.png") == [
        "DFF on camvid through hevc[bitrate=3M] (failed: no | motion_vectors\nin clip 7)",
        "New on camvid through hevc[bitrate=3M] (no measured rate)",
    ]
    assert quality([make_row(), old], tmp_path / "a.png") == [
        "Old on camvid through hevc[bitrate=3M] (no PSNR)"
    ]


def test_uncompressed_stills_are_a_level_line_without_a_rate(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    raw = {"codec": "raw", "codec_name": "uncompressed", "codec_rate": "", "bitrate_kbps": None}
    given = make_row("Given", **(raw | {"codec": "raw[motion=given]"}))
    rows = [make_row(), make_row(**(raw | {"miou": 0.75})), given]
    assert rate(rows, tmp_path / "a.png") == [
        "Given on camvid through raw[motion=given] (no measured rate)"
    ]
    levels = [line.get_ydata()[0] for line in figures[0].axes[0].lines]  # type: ignore[index]
    assert 75.0 in levels


def test_what_cannot_be_drawn_is_refused_in_words(make_row: MakeRow, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to draw"):
        quality([make_row(psnr_db=None)], tmp_path / "a.png")
    with pytest.raises(UsageError, match="nothing is lost"):
        quality([make_row(psnr_db=math.inf)], tmp_path / "a.png")
    with pytest.raises(UsageError, match="unknown quality 'vmaf': expected psnr or ssim"):
        quality([make_row()], tmp_path / "a.png", "vmaf")
    with pytest.raises(
        UsageError,
        match="9 codec settings cannot be told apart in one figure: choose at most 8 by -c",
    ):
        rate([make_row(codec=f"hevc[refs={n}]") for n in range(9)], tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"37 methods .* at most 36 by -m"):
        rate([make_row(f"M{n}") for n in range(37)], tmp_path / "a.png")


def test_uncompressed_video_alone_is_drawn(
    sweep: Sweep, tmp_path: Path, figures: list[Figure]
) -> None:
    rows = [row for row in sweep(2) if row["codec"] == "raw"]
    assert rate(rows, tmp_path / "a.png") == []
    low, high = figures[0].axes[0].get_ylim()
    assert all(low < 100 * row["miou"] < high for row in rows)
    # there is no rate that the axis could tell
    assert list(figures[0].axes[0].get_xticks()) == []
    assert list(figures[0].axes[0].get_xticks(minor=True)) == []


@pytest.mark.parametrize("methods", [2, 6])
def test_no_text_is_on_another(
    sweep: Sweep, tmp_path: Path, figures: list[Figure], methods: int
) -> None:
    rows = [
        row
        for place in range(3)
        for row in sweep(methods, dataset=f"d{place}", dataset_title=f"D{place}")
    ]
    rate(rows, tmp_path / "rate.png")
    quality(rows, tmp_path / "quality.png")
    for figure in figures:
        figure.draw_without_rendering()
        texts = [text for legend in figure.legends for text in legend.get_texts()]
        for axes in figure.axes:
            low, high = axes.get_xlim()
            texts += [axes.title, axes.xaxis.label, axes.yaxis.label]
            texts += [
                tick.label1
                for tick in axes.xaxis.get_major_ticks()
                if low <= tick.get_loc() <= high
            ]
        boxes = [text.get_window_extent() for text in texts if text.get_text()]
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
        for legend in figure.legends:
            assert legend.get_window_extent().x0 >= 0
            assert legend.get_window_extent().x1 <= figure.bbox.width


@pytest.mark.parametrize("kbps", [[987.0], [987.0, 1002.0], [20.0, 90000.0], [1.0, 2.0]])
def test_every_rate_axis_has_numbers(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure], kbps: list[float]
) -> None:
    rate(
        [
            make_row(codec=f"hevc[qp={place}]", bitrate_kbps=value)
            for place, value in enumerate(kbps)
        ],
        tmp_path / "a.png",
    )
    (axes,) = figures[0].axes
    low, high = axes.get_xlim()
    assert low < min(kbps) <= max(kbps) < high
    assert 1 <= len([place for place in axes.get_xticks() if low <= place <= high]) <= 12


def test_the_same_bytes_each_time(sweep: Sweep, tmp_path: Path) -> None:
    rows = sweep(2)
    rate(rows, tmp_path / "a.svg")
    rate(rows[::-1], tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
