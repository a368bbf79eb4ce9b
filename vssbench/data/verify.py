"""Every file of a dataset read and checked, each fault in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vssbench.core import registry
from vssbench.core.dataset import Dataset
from vssbench.core.errors import DataError, VssbenchError
from vssbench.core.progress import track
from vssbench.core.variant import Variant
from vssbench.data.ondisk import NothingThere, OnDisk
from vssbench.data.presence import absent_classes


def verify(variant: Variant, root: Path | None) -> dict[str, list[str]]:
    """Return the faults of every variant that is checked: of the split that is named, else of all
    that the folder has.

    Raises NothingThere where the folder has none of them, UsageError for an unknown name or
    parameter.
    """
    cls = registry.load("datasets", variant.name)
    if cls.needs_root and root is None and "root" not in variant.params:
        raise DataError(f"{variant.name} needs its files: pass --data-root DIR. {cls.where()}")
    given = {"root": str(root)} if cls.needs_root and root is not None else {}
    variants = (
        [variant]
        if "split" in variant.params or not issubclass(cls, OnDisk)
        else _splits(cls, variant, given)
    )
    checked: dict[str, list[str]] = {}
    for each in variants:
        dataset = registry.create("datasets", each, **given)
        with track(f"checking {each}", 0) as tracker:
            checked[str(each)] = []
            for fault in _faults(dataset):
                checked[str(each)].append(fault)
                tracker.advance(note=f"{len(checked[str(each)])} faults")
    return checked


def _splits(cls: type[OnDisk], variant: Variant, given: dict[str, str]) -> list[Variant]:
    """Return the variant on every split that the folder has, whole or with faults. Raises
    NothingThere where it has none."""
    names = dict.fromkeys(params["split"] for params in cls.offers if "split" in params)
    variants = [Variant(variant.name, {**variant.params, "split": name}) for name in names] or [
        variant
    ]
    held, reason = [], None
    for each in variants:
        try:
            if not registry.create("datasets", each, **given).outlines():
                continue
        except DataError as error:
            if _absent(each, given):
                reason = reason or error
                continue
        held.append(each)
    if not held and reason is not None:
        raise reason
    return held


def _absent(variant: Variant, given: dict[str, str]) -> bool:
    """Return whether the folder has nothing of a split, so that there is nothing to check."""
    try:
        next(registry.create("datasets", variant, **given).faults(), None)
    except NothingThere:
        return True
    except DataError:
        return False
    return False


def _faults(dataset: Dataset) -> Iterator[str]:
    """Yield each fault once."""
    said = set()
    for fault in _all_faults(dataset):
        if fault not in said:
            said.add(fault)
            yield fault


def _all_faults(dataset: Dataset) -> Iterator[str]:
    if isinstance(dataset, OnDisk):
        try:
            yield from dataset.faults()
        except NothingThere:
            raise
        except DataError as error:
            yield str(error)
        with suppress(DataError):  # a fault above
            yield from absent_classes(dataset.clips(), dataset.classes)
        return
    try:
        for clip in dataset.clips():
            for index in range(clip.length):
                shape = clip.image(index).shape
                if shape != (clip.height, clip.width, 3):
                    yield (
                        f"{clip.name}: frame {index} is {shape}, expected "
                        f"{(clip.height, clip.width, 3)}"
                    )
                clip.label(index)
        yield from absent_classes(dataset.clips(), dataset.classes)
    except VssbenchError as error:
        yield str(error)
