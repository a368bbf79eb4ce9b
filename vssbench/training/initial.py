"""The weights that a training starts from: ``--init``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from vssbench.core.classes import other_names, other_order
from vssbench.core.errors import UsageError
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.variant import Variant
from vssbench.weights.file import WeightFile
from vssbench.weights.network import set_statistics


@dataclass(frozen=True)
class Initial:
    """The names of the tensors that the files gave, and of the phases that they replace."""

    given: frozenset[str]
    replaced: frozenset[str]


def initialise(
    model: VideoSegmenter,
    files: Sequence[WeightFile],
    variant: Variant,
    classes: Sequence[str],
    console: Console,
) -> Initial:
    """Give a network the weights of the files, one after the other, and say what was done.

    Raises UsageError where a file's classes are not the dataset's ``classes``.
    """
    given: set[str] = set()
    replaced: set[str] = set()
    for file in files:
        if file.classes:  # a backbone's file has none
            _compare_classes(file, classes, console)
        tensors = file.usable()
        replaced.update(model.initialise(tensors, file.metadata))
        given.update(tensors)
        set_statistics(model, file)
    for remark in model.remarks:
        console.print(f"{variant}: {remark}")
    if replaced:
        console.print(
            f"{variant}: phases already trained, taken from --init: {', '.join(sorted(replaced))}"
        )
    return Initial(frozenset(given), frozenset(replaced))


def _compare_classes(file: WeightFile, classes: Sequence[str], console: Console) -> None:
    """Say which classes of a file have other names than the dataset's. Raises UsageError where they
    are of another number, or the dataset's in another order."""
    if len(file.classes) != len(classes):
        raise UsageError(
            f"--init {file.path} has {len(file.classes)} classes and the dataset {len(classes)}"
        )
    if wrong := other_order(file.classes, classes):
        raise UsageError(
            f"--init {file.path} has the dataset's classes in another order: {wrong}; start "
            "from weights of the same order, or put the dataset's classes in that one"
        )
    for line in other_names(file.classes, classes):
        console.print(f"--init {file.path}: {line}", markup=False, highlight=False, soft_wrap=True)
