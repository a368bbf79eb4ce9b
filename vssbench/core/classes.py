"""Published lists of classes, asked of the datasets: what a foreign checkpoint's outputs are
called, and in which colours they are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from vssbench.core import registry
from vssbench.core.dataset import ClassList, Colour

#: what labels of no class are drawn in; as a class's colour it tells nothing
BLACK = (0, 0, 0)
#: what datasets and weights call pixels of no class
VOID_NAMES = frozenset({"void", "unlabelled", "unlabeled", "ignore", "ignored"})


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


def other_order(own: Sequence[str], asked: Sequence[str]) -> str:
    """Say which class stands at two places in two lists of the same length; empty where none does.

    Letters of either case, and spaces, hyphens and underscores, are the same.
    """
    places = {plain(name): place for place, name in enumerate(asked)}
    for place, name in enumerate(own):
        theirs = places.get(plain(name), place)
        if theirs != place:
            return f"{name!r} is class {place} there and {theirs} here"
    return ""


def other_names(own: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Return a line that says which classes of two lists have other names, or none."""
    pairs = [
        f"{theirs!r} for {name!r}"
        for theirs, name in zip(own, asked, strict=True)
        if plain(theirs) != plain(name)
    ]
    if not pairs:
        return []
    return [
        f"{len(pairs)} of {len(asked)} classes have other names than the dataset's: "
        f"{', '.join(pairs)}; they are taken for the same by their place"
    ]


def numbers_of(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Return the numbers of those of ``names`` that are among ``classes``, in order."""
    wanted = {plain(name) for name in names}
    return [number for number, name in enumerate(classes) if plain(name) in wanted]


def beyond(own: Sequence[str], asked: Sequence[str], void: Sequence[str] = ()) -> list[int]:
    """Return the numbers of a network's classes that a dataset lacks and that stand for no class.

    They bear a name of :data:`VOID_NAMES`, or one of ``void``. Empty where the network has no more
    classes than the dataset, or what is left is not as many.
    """
    names = VOID_NAMES | {plain(name) for name in void}
    there = {plain(name) for name in asked}
    found = [
        number
        for number, name in enumerate(own)
        if plain(name) in names and plain(name) not in there
    ]
    return found if found and len(own) - len(found) == len(asked) else []


@lru_cache(4096)  # of the few classes of thousands of runs
def plain(name: str) -> str:
    """Return a class's name as names are compared: letters of either case, and spaces, hyphens and
    underscores, are the same."""
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())
