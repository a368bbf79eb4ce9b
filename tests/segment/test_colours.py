"""Colours of one's own classes in pictures, and names in any script in the legend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from vssbench import lettering
from vssbench.core import registry
from vssbench.core.errors import WeightsError
from vssbench.core.variant import parse_variant
from vssbench.lettering import written
from vssbench.segment.drawing import legend, palette_of
from vssbench.segment.request import Request, prepared
from vssbench.weights.file import open_weights
from vssbench.weights.writing import save_weights

OWN = [[1, 2, 3], [250, 0, 7], [0, 0, 0]]
Make = Callable[..., Path]


def weights(folder: Path, names: tuple[str, ...], palette: object) -> Path:
    """Weights as a training on one's own folder writes them."""
    torch.manual_seed(0)
    variant = parse_variant("bisenet[width=0.125]")
    model = registry.create("methods", variant, classes=len(names))
    record = {"dataset": "folder", "palette": palette}
    return save_weights(folder / "w.safetensors", model, variant, names, "folder", record)[0]


def test_the_colours_of_ones_own_classes_are_those_of_the_training(
    make: Make, tmp_path: Path
) -> None:
    """Though other datasets have classes of these names, and black is a colour as any."""
    path = weights(tmp_path, ("Road", "Sky", "Дорога"), OWN)
    said: list[str] = []
    for wanted in (Request(), Request(legend=True)):
        work = prepared(make("in.mp4"), tmp_path / "o.mp4", None, path, wanted, said.append)
        assert work.job.painter.palette[:3].tolist() == OWN
        assert not work.job.painter.palette[3:].any()
        assert work.job.painter.classes == ("Road", "Sky", "Дорога")
    assert not said


def test_weights_without_colours_have_those_of_the_datasets(tmp_path: Path) -> None:
    file = open_weights(weights(tmp_path, ("Road", "Sky"), OWN))  # of three classes
    assert file.palette == ()
    assert (
        palette_of(("Road", "Sky"), file.palette).tolist() == palette_of(("Road", "Sky")).tolist()
    )


@pytest.mark.parametrize("palette", ["red", [[1, 2]], [[1, 2, 256]], [[1, 2, 0.5]], None])
def test_colours_that_are_none_are_refused(tmp_path: Path, palette: object) -> None:
    path = weights(tmp_path, ("Road",) * 2, palette)
    with pytest.raises(WeightsError, match="'training: palette' is"):
        open_weights(path)


def test_a_legend_has_letters_of_any_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one box for all of them: other letters give other pictures."""
    palette = palette_of(("a",))
    monkeypatch.setattr(lettering, "_installed", list)
    strips = [legend((name,), palette, 200) for name in ("Дом", "Лес", "Ёлка")]
    assert not np.array_equal(strips[0], strips[1])
    assert not np.array_equal(strips[1], strips[2])
    assert written(("Дом", "Sky")) == (("Дом", "Sky"), "")
    names, said = written(("街", "Sky街景"))
    assert names == ("<U+8857>", "Sky<U+8857 U+666F>")
    assert "no installed font has the letters" in said
