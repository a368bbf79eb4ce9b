"""Class lists of the datasets: names by number, colours by name."""

from __future__ import annotations

import pytest

from vssbench.core import registry
from vssbench.core.classes import class_lists, known_colours, names_of
from vssbench.core.dataset import Dataset
from vssbench.core.errors import UsageError
from vssbench.datasets.camvid.labels import CLASSES, MERGED
from vssbench.datasets.synthetic.classes import CLASSES as DRAWN


def test_names_by_number() -> None:
    assert names_of(11) == tuple(MERGED)
    assert names_of(12) == (*MERGED, "Void")
    assert names_of(19)[:2] == ("road", "sidewalk")
    assert names_of(3) == ("class 0", "class 1", "class 2")


def test_colours_by_name() -> None:
    colours = known_colours()
    assert colours["Building"] == (128, 0, 0)
    assert colours["car"] == (0, 0, 142)
    assert "Void" not in colours, "black tells a class from nothing"


def test_the_drawn_street_is_labelled_as_camvid_is() -> None:
    assert list(DRAWN.items()) == list(MERGED.items()) == list(CLASSES.items())[:11]


class Farm(Dataset):
    title = "Farm"
    class_lists = ({"barn": (200, 0, 0), "cow": (1, 2, 3)},)


def test_an_installed_dataset_brings_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its list gives names and colours to foreign weights of that many classes; one that does not
    import takes nothing from the others."""
    load = registry.load

    def loaded(kind: str, name: str) -> type:
        if name == "broken":
            raise UsageError("the dataset 'broken' does not import")
        return Farm if name == "farm" else load(kind, name)

    there = [*registry.plugins("datasets"), "broken", "farm"]
    monkeypatch.setattr(registry, "plugins", lambda kind: dict.fromkeys(there))
    monkeypatch.setattr(registry, "load", loaded)
    assert names_of(2) == ("barn", "cow")
    assert known_colours()["cow"] == (1, 2, 3)
    assert len(list(class_lists())) >= 4
