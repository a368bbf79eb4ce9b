"""Overlay, palette, outline, legend."""

from __future__ import annotations

import numpy as np
import pytest

from vssbench.datasets.camvid.labels import MERGED as CAMVID_CLASSES
from vssbench.datasets.cityscapes.labels import CLASSES as CITYSCAPES_CLASSES
from vssbench.segment.drawing import OUTLINE, Painter, legend, outline, palette_of

LABELS = np.repeat([[0, 0, 1, 1]], 4, 0).astype(np.uint8)


def test_palettes() -> None:
    assert palette_of(tuple(CAMVID_CLASSES))[:11].tolist() == [
        list(colour) for colour in CAMVID_CLASSES.values()
    ]
    assert palette_of(CITYSCAPES_CLASSES)[13].tolist() == [0, 0, 142]
    # PASCAL VOC's, those passed over that are taken
    other = palette_of(("Building", "wombat", "numbat"))
    assert other[:3].tolist() == [[128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert not other[3:].any()
    many = palette_of([f"class {index}" for index in range(150)])
    assert len(np.unique(many[:150], axis=0)) == 150


def test_overlay() -> None:
    image = np.full((4, 4, 3), 100, np.uint8)
    palette = palette_of(("Building", "Sky"))
    tinted = Painter(("Building", "Sky"), palette, 0.25).overlay(image, LABELS)
    assert tinted[0, 0].tolist() == pytest.approx([107, 75, 75], abs=1)
    assert tinted[0, 3].tolist() == pytest.approx([107, 107, 107], abs=1)
    assert tinted[0, 1, 1] == pytest.approx(255 * OUTLINE + 75 * (1 - OUTLINE), abs=1)
    assert (
        Painter(("Building", "Sky"), palette, 1.0).overlay(image, LABELS).tolist()
        == palette[LABELS].tolist()
    )
    assert (
        Painter(("Building", "Sky"), palette, 0.0).overlay(image, LABELS).tolist() == image.tolist()
    )
    assert (image == 100).all()


def test_outline() -> None:
    assert outline(LABELS)[0].tolist() == [False, True, False, False]
    assert outline(LABELS, wide=True)[2].tolist() == [False, True, True, False]
    assert outline(LABELS.T)[:, 0].tolist() == [False, True, False, False]


def test_indexed() -> None:
    palette = palette_of(("Building", "Sky"))
    picture = Painter(("Building", "Sky"), palette).indexed(LABELS)
    assert picture.mode == "P"
    assert np.array_equal(np.asarray(picture), LABELS)
    assert np.array_equal(np.asarray(picture.convert("RGB")), palette[LABELS])


@pytest.mark.parametrize("width", [96, 480, 1280])
def test_the_legend_shows_every_colour(width: int) -> None:
    classes = tuple(CAMVID_CLASSES)
    palette = palette_of(classes)
    strip = legend(classes, palette, width)
    assert strip.shape[1] == width
    shown = {tuple(colour) for colour in strip.reshape(-1, 3).tolist()}
    assert shown >= set(CAMVID_CLASSES.values())
    painter = Painter(classes, palette, legend=True)
    assert painter.colours(np.zeros((20, width), np.uint8)).shape == (20 + len(strip), width, 3)
