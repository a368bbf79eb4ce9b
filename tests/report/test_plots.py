"""Figures: what is drawn, what is left out, the files, and that no text covers another."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from PIL import Image

from vssbench.core.errors import UsageError
from vssbench.report.plots import distance, pareto, pareto_front
from vssbench.report.rows import Row
from vssbench.report.style import DPI, LABEL_SIZE, PALETTE, looks, wrapped_title

MakeRow = Callable[..., Row]
Sweep = Callable[..., list[Row]]
#: AR-Seg, Table 1, CamVid: display, mIoU %, GMACs a frame
PAPER = (
    ("PSPNet18", 69.43, 309.02), ("BiseNet18", 71.57, 58.83), ("AR0.7-PSP18", 71.23, 169.86),
    ("AR0.7-Bise18", 71.78, 31.89), ("AR0.6-PSP18", 70.82, 133.09), ("AR0.6-Bise18", 71.6, 24.68),
    ("AR0.5-PSP18", 70.48, 101.98), ("AR0.5-Bise18", 70.38, 18.96),
)  # fmt: skip


@pytest.fixture
def paper(make_row: MakeRow) -> list[Row]:
    return [
        make_row(
            name,
            method="arseg" if name.startswith("AR") else name.lower(),
            miou=miou / 100,
            gmacs_gop=gmacs,
        )
        for name, miou, gmacs in PAPER
    ]


def ticks(axis: Axis) -> list[Text]:
    """The labels of the ticks within the axis's limits: matplotlib keeps some beyond them that it
    never draws."""
    low, high = axis.get_view_interval()
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def covered(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of rendered texts that overlap: labels, titles, ticks, names of axes, legend."""
    figure.draw_without_rendering()
    texts = [
        text for legend in figure.legends for text in (*legend.get_texts(), legend.get_title())
    ]
    for axes in figure.axes:
        texts += [
            *axes.texts,
            axes.title,
            axes.xaxis.label,
            axes.yaxis.label,
            *ticks(axes.xaxis),
            *ticks(axes.yaxis),
        ]
    shown = [
        (text.get_text(), text.get_window_extent())
        for text in texts
        if text.get_text() and text.get_visible()
    ]
    return [(one, other) for (one, a), (other, b) in combinations(shown, 2) if a.overlaps(b)]


@pytest.mark.parametrize("draw", [pareto, distance])
@pytest.mark.parametrize("ending", [".png", ".pdf", ".svg"])
def test_a_file_of_the_ending_the_same_bytes_each_time(
    paper: list[Row], tmp_path: Path, draw: Callable[[list[Row], Path], list[str]], ending: str
) -> None:
    first, second = tmp_path / f"a{ending}", tmp_path / "folder" / f"b{ending}"
    assert draw(paper[:3], first) == []
    assert draw(paper[2::-1], second) == []
    content = first.read_bytes()
    assert content == second.read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}[ending])


def test_the_png_has_the_size_and_resolution_of_a_paper(paper: list[Row], tmp_path: Path) -> None:
    pareto(paper, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        width, height = image.size
        assert image.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
        assert width == 4.8 * DPI
        assert height > 3 * DPI
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 10


def test_the_pdf_embeds_its_font(paper: list[Row], tmp_path: Path) -> None:
    pareto(paper, tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Type3" not in content


def test_the_paper_s_numbers_have_no_text_on_another(
    paper: list[Row], tmp_path: Path, figures: list[Figure]
) -> None:
    pareto(paper, tmp_path / "a.png")
    distance(paper, tmp_path / "b.png")
    assert [covered(figure) for figure in figures] == [[], []]
    labels = [text.get_text() for text in figures[0].axes[0].texts]
    assert sorted(labels) == sorted(name for name, *_ in PAPER)


def test_close_points_with_long_names_have_no_text_on_another(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    chance = random.Random(3)
    rows = [
        make_row(
            f"AR0.{number}-PSP18 (width 0.25)",
            miou=0.7 + chance.random() / 250,
            gmacs_gop=5 + chance.random() / 3,
        )
        for number in range(8)
    ]
    pareto([*rows, make_row("PSPNet18 (width 0.25)", miou=0.71, gmacs_gop=20)], tmp_path / "a.png")
    assert covered(figures[0]) == []
    frame = figures[0].axes[0].bbox
    boxes = [text.get_window_extent() for text in figures[0].axes[0].texts]
    assert all(frame.fully_containsx(x) for box in boxes for x in (box.x0, box.x1))
    assert all(frame.fully_containsy(y) for box in boxes for y in (box.y0, box.y1))


def test_no_text_is_smaller_than_8_points(
    paper: list[Row], tmp_path: Path, figures: list[Figure]
) -> None:
    pareto(paper, tmp_path / "a.png")
    axes = figures[0].axes[0]
    texts = [
        *axes.texts,
        *ticks(axes.xaxis),
        *ticks(axes.yaxis),
        *figures[0].legends[0].get_texts(),
    ]
    assert min(float(text.get_fontsize()) for text in texts) >= LABEL_SIZE == 8
    assert all(isinstance(text, Annotation) for text in axes.texts)


def test_a_panel_for_each_dataset_and_codec_with_one_y_axis_a_dataset(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    rows = [
        make_row(
            f"M{number}",
            dataset=dataset,
            dataset_title=dataset,
            codec_name=codec,
            codec=codec,
            miou=0.6 + number / 20,
        )
        for number, (dataset, codec) in enumerate([("a", "x"), ("a", "y"), ("b", "x")])
    ]
    pareto(rows, tmp_path / "a.png")
    axes = figures[0].axes
    assert [panel.get_title().splitlines()[0] for panel in axes] == [
        "a 720x960",
        "a 720x960",
        "b 720x960",
    ]
    assert axes[0].get_ylim() == axes[1].get_ylim() != axes[2].get_ylim()
    assert [bool(ticks(panel.yaxis)[0].get_visible()) for panel in axes] == [True, False, True]


def test_what_panels_share_stands_above_the_figure(
    sweep: Sweep, tmp_path: Path, figures: list[Figure]
) -> None:
    pareto([row for row in sweep(2) if "av1" in row["codec"]], tmp_path / "a.png")
    assert [axes.get_title().replace("\n", " ") for axes in figures[0].axes] == [
        "AV1, 960 kbit/s measured (1 Mb/s asked)",
        "AV1, 288 kbit/s measured (300 kb/s asked)",
    ]
    assert figures[0].get_suptitle() == "CamVid 720x960 / GOP 12 / dense"


@pytest.mark.parametrize(("draw", "datasets"), [(pareto, 2), (distance, 1)])
def test_many_groups_make_a_clear_grid(
    sweep: Sweep,
    tmp_path: Path,
    figures: list[Figure],
    draw: Callable[[list[Row], Path], list[str]],
    datasets: int,
) -> None:
    rows = [
        row
        for place in range(datasets)
        for row in sweep(6, raw=False, dataset=f"d{place}", dataset_title=f"D{place}")
    ]
    draw(rows, tmp_path / "a.png")
    figure = figures[0]
    assert len(figure.axes) == 12 * datasets
    assert figure.get_suptitle().endswith("GOP 12 / dense / measured rates")
    assert covered(figure) == []
    names = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {row["display"] for row in rows} <= names
    assert all(not axes.texts for axes in figure.axes)


def test_a_title_is_not_broken_within_a_gop() -> None:
    axes = Figure((9.2, 3.0)).subplots(1, 4)[0]
    for gop in ("GOP 6", "GOP 12", "GOP 6 to 24"):
        for stream in ("H.264, 1143 kbit/s", "MPEG-4, 98 kbit/s (300 kb/s asked)", "uncompressed"):
            wrapped_title(axes, ["CamVid 360x480, val", f"{stream} / {gop} / dense"])
            lines = axes.get_title().splitlines()
            assert any(gop in line for line in lines)
            assert not any(line.startswith("/") for line in lines)
            assert " ".join(lines).endswith(f"{stream} / {gop} / dense")


@pytest.mark.parametrize(
    ("costs", "scale"), [((10.0, 79.0), "linear"), ((10.0, 81.0), "log"), ((0.0, 81.0), "linear")]
)
def test_the_cost_axis_is_logarithmic_where_costs_differ_widely(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure], costs: tuple[float, float], scale: str
) -> None:
    pareto([make_row(f"M{cost}", gmacs_gop=cost) for cost in costs], tmp_path / "a.png")
    assert figures[0].axes[0].get_xscale() == scale


def test_distances_not_scored_have_no_marker(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    distance([make_row(miou_by_distance=[0.7, None, 0.6])], tmp_path / "a.png")
    (line,) = figures[0].axes[0].lines
    assert line.get_xydata().tolist() == [[0, 70], [2, pytest.approx(60)]]  # type: ignore[union-attr]


def test_the_legend_of_many_methods_fits_the_figure(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    distance(
        [make_row(f"AR0.{number}-BiSeNet18 (width 0.25)") for number in range(9)],
        tmp_path / "a.png",
    )
    figures[0].draw_without_rendering()
    box = figures[0].legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figures[0].bbox.width
    assert box.y1 < figures[0].axes[0].get_tightbbox().y0  # type: ignore[union-attr]


def test_rows_that_cannot_be_drawn_are_named(
    paper: list[Row], failed: Row, make_row: MakeRow, tmp_path: Path
) -> None:
    uncounted = make_row("ICNet", gmacs_gop=None)
    left_out = pareto([*paper, failed, uncounted], tmp_path / "a.png")
    assert left_out == [
        "DFF on camvid through hevc[bitrate=3M] (failed: no | motion_vectors\nin clip 7)",
        "ICNet on camvid through hevc[bitrate=3M] (no GMACs)",
    ]
    assert distance([uncounted, failed], tmp_path / "b.png") == left_out[:1]


@pytest.mark.parametrize("draw", [pareto, distance])
def test_what_cannot_be_drawn_is_refused_in_words(
    make_row: MakeRow, failed: Row, tmp_path: Path, draw: Callable[[list[Row], Path], list[str]]
) -> None:
    with pytest.raises(
        UsageError, match=r"'a\.jpg': expected a name that ends in \.png, \.pdf, \.svg"
    ):
        draw([make_row()], tmp_path / "a.jpg")
    with pytest.raises(UsageError, match=r"25 panels .* at most 24, by -d, -c and -m"):
        draw([make_row(dataset=str(number)) for number in range(25)], tmp_path / "a.png")
    for rows in ([], [failed]):
        with pytest.raises(UsageError, match="measure some first"):
            draw(rows, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_the_front_is_what_no_point_beats() -> None:
    chance = random.Random(0)
    points = [(chance.randint(0, 9), chance.randint(0, 9)) for _ in range(40)]
    cost, accuracy = [x for x, _ in points], [y for _, y in points]
    beaten = {
        (x, y)
        for x, y in points
        if any((a <= x and b > y) or (a < x and b >= y) for a, b in points)
    }
    front = [points[place] for place in pareto_front(cost, accuracy)]
    assert front == sorted(set(points) - beaten)


def test_looks_are_distinct() -> None:
    names = [str(number) for number in range(72)]
    found = {(look.colour, look.marker) for look in looks(names).values()}
    assert len(found) == 72
    assert len(set(PALETTE)) == 8


def test_where_keyframes_alone_are_scored_the_plot_says_so(
    make_row: MakeRow, figures: list[Figure], tmp_path: Path
) -> None:
    alone = {"protocol_details": {"cost": "keyframes alone"}}
    pareto([make_row("A", **alone), make_row("B", gmacs_gop=9, **alone)], tmp_path / "a.png")
    (axes,) = figures[0].axes
    assert axes.get_xlabel() == "GMACs per keyframe (keyframes alone are scored)"
    assert "keyframes alone" in axes.get_title()


def test_energy_is_drawn_where_it_was_measured(make_row: MakeRow, tmp_path: Path) -> None:
    rows = [make_row("A"), make_row("B", miou=0.6, joules_gop=2.0)]
    silent = make_row("C", joules_gop=None, energy="not measured: no counter")
    (said,) = pareto([*rows, silent], tmp_path / "a.png", "energy")
    assert said.startswith("C")
    assert "no energy" in said
    with pytest.raises(UsageError, match="no energy"):
        pareto([silent], tmp_path / "b.png", "energy")
