"""Published lists of classes, asked of the datasets: what a foreign checkpoint's outputs are
called, and in which colours they are drawn."""

from __future__ import annotations

from collections.abc import Iterator

from vssbench.core import registry
from vssbench.core.dataset import ClassList, Colour

#: what labels of no class are drawn in; as a class's colour it tells nothing
BLACK = (0, 0, 0)


def class_lists() -> Iterator[ClassList]:
    """Yield the class lists of all datasets that import, by the datasets' names."""
    for dataset in registry.classes("datasets").values():
        yield from dataset.class_lists


def names_of(count: int) -> tuple[str, ...]:
    """Return the names of so many classes: those of the first list of that length, else numbers."""
    numbers = tuple(f"class {number}" for number in range(count))
    return next((tuple(each) for each in class_lists() if len(each) == count), numbers)


def known_colours() -> dict[str, Colour]:
    """Return the colour of every class that a dataset names; the first that names it decides."""
    known: dict[str, Colour] = {}
    for each in class_lists():
        known = {**{name: colour for name, colour in each.items() if colour != BLACK}, **known}
    return known
