"""Labels of points: neither texts nor points overlap, nothing leaves the axes, and the outcome is
always the same."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from vssbench.report.placement import place_labels

#: half the side of a marker in points
MARKER = 2.5


@pytest.fixture
def axes() -> Axes:
    figure = Figure(figsize=(4.8, 3.4), dpi=200)
    FigureCanvasAgg(figure)
    return figure.subplots()


def faults(axes: Axes, texts: list[Annotation], points: np.ndarray) -> list[str]:
    """Every pair of rendered labels that overlap, every label on a point, every label beyond the
    axes."""
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    boxes = [text.get_window_extent() for text in texts]
    half = MARKER * axes.figure.dpi / 72
    markers = [
        Bbox([(x - half, y - half), (x + half, y + half)])
        for x, y in axes.transData.transform(points)
    ]
    found = []
    for number, box in enumerate(boxes):
        found += [
            f"labels {number} and {other}" for other in range(number) if box.overlaps(boxes[other])
        ]
        found += [
            f"label {number} on point {other}"
            for other, mark in enumerate(markers)
            if box.overlaps(mark)
        ]
        inside = (
            axes.bbox.x0 <= box.x0
            and axes.bbox.y0 <= box.y0
            and box.x1 <= axes.bbox.x1
            and box.y1 <= axes.bbox.y1
        )
        found += [] if inside else [f"label {number} leaves the axes"]
    return found


def hard_case(seed: int) -> np.ndarray:
    """Eight points within a tenth of the axes, some all but equal."""
    random = np.random.default_rng(seed)
    points = 0.5 + 0.1 * random.random((8, 2))
    points[1] = points[0] + 1e-4
    return points


@pytest.mark.parametrize("seed", range(4))
def test_eight_close_points(axes: Axes, seed: int) -> None:
    points = hard_case(seed)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    labels = [f"AR0.{number}-PSP18 (width 0.25)" for number in range(8)]
    texts = place_labels(axes, points[:, 0].tolist(), points[:, 1].tolist(), labels, 8)
    assert [text.get_text() for text in texts] == labels
    assert faults(axes, texts, points) == []


def test_points_in_the_corners(axes: Axes) -> None:
    points = np.array([(0.01, 0.01), (0.99, 0.01), (0.01, 0.99), (0.99, 0.99)])
    axes.set(xlim=(0, 1), ylim=(0, 1))
    texts = place_labels(
        axes, points[:, 0].tolist(), points[:, 1].tolist(), ["BiSeNet18 (width 0.25)"] * 4, 8
    )
    assert faults(axes, texts, points) == []


def test_the_check_itself_finds_faults(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1))
    texts = [axes.annotate("PSPNet18", (x, 0.5)) for x in (0.5, 0.51, 0.99)]
    found = faults(axes, texts, np.array([(0.52, 0.51)]))
    assert "labels 1 and 0" in found
    assert "label 0 on point 0" in found
    assert "label 2 leaves the axes" in found


def test_a_lone_label_is_beside_its_point_without_a_leader(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1))
    (text,) = place_labels(axes, [0.5], [0.5], ["PSPNet18"], 8)
    box, (x, y) = text.get_window_extent(), axes.transData.transform((0.5, 0.5))
    gap = (
        np.hypot(x - np.clip(x, box.x0, box.x1), y - np.clip(y, box.y0, box.y1))
        * 72
        / axes.figure.dpi
    )
    assert MARKER < gap < 8
    assert len(axes.lines) == 0


def test_a_label_away_from_its_point_has_a_leader_and_limits_stay(axes: Axes) -> None:
    points = hard_case(0)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    place_labels(axes, points[:, 0].tolist(), points[:, 1].tolist(), ["AR0.5-PSP18"] * 8, 8)
    starts = np.array([line.get_xydata()[0] for line in axes.lines])  # type: ignore[index]
    assert 0 < len(starts) <= 8
    assert all(np.isclose(points, start).all(axis=1).any() for start in starts)
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 1), (0, 1))


def test_a_label_keeps_off_the_line(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1))
    line = np.array([(0.5, 0.5), (1.0, 0.5)])
    (text,) = place_labels(axes, [0.5], [0.5], ["PSPNet18"], 8, [line])
    box, (_, y) = text.get_window_extent(), axes.transData.transform((0.5, 0.5))
    assert box.y0 > y or box.y1 < y or box.x1 < axes.transData.transform((0.5, 0.5))[0]


def test_no_points_no_labels(axes: Axes) -> None:
    assert place_labels(axes, [], [], [], 8) == []
