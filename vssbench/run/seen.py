"""Tells whether weights have seen the frames that they are scored on: in training, or where the
best state was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vssbench.core import registry
from vssbench.core.dataset import Dataset
from vssbench.core.errors import UsageError
from vssbench.core.variant import Variant, parse_variant
from vssbench.core.video import MARK_DIGITS

#: the split that every training part is of
TRAINING_SPLIT = "train"


@dataclass(frozen=True)
class Seen:
    """Counts of scored frames, of ``frames`` in all: those that the weights were trained on, and
    those that their best state was chosen by; ``known`` is false where a record does not tell."""

    training: int
    selection: int
    frames: int
    known: bool

    def record(self) -> dict[str, Any]:
        """Return the counts as a run stores them."""
        return asdict(self)


def seen(training: Mapping[str, Any], variant: Variant, dataset: Dataset) -> Seen:
    """Return what weights of that record of training have seen of a dataset's scored frames.

    What they were started from counts as they do.
    """
    scored = dataset.scored_marks
    counts = {"training": 0, "selection": 0}
    known = True
    for record in _chain(training):
        parts = _parts(record)
        if parts is None:
            counts["training"] += _by_split(record, variant, dataset) * len(scored)
            known = known and _is_apart(record, variant, dataset)
            continue
        for name, (marks, whole) in zip(counts, parts, strict=True):
            # of a part that holds more than its smallest digests, those up to the greatest are told
            told = scored if whole else {mark for mark in scored if mark <= max(marks)}
            share = len(scored) / len(told) if told else 0.0
            counts[name] = max(counts[name], round(share * len(told & marks)))
    training_frames = min(counts["training"], len(scored))
    return Seen(training_frames, counts["selection"], len(scored), known or training_frames > 0)


def _chain(training: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a record of training and those of all weights that it started from."""
    yield training
    for each in training.get("initial") or ():
        if isinstance(each, dict) and isinstance(each.get("training"), dict):
            yield from _chain(each["training"])


def _parts(record: Mapping[str, Any]) -> tuple[tuple[frozenset[str], bool], ...] | None:
    """Return the digests of the pictures of each part, and whether these are all, None where the
    record does not hold them."""
    pictures = record.get("pictures")
    if not isinstance(pictures, dict):
        return None
    found = []
    for name in ("training", "validation"):
        part = pictures.get(name)
        if not isinstance(part, dict) or not isinstance(part.get("digests"), str):
            return None
        text = part["digests"]
        marks = frozenset(
            text[place : place + MARK_DIGITS] for place in range(0, len(text), MARK_DIGITS)
        )
        found.append((marks, part.get("frames") == len(marks)))
    return tuple(found)


def _by_split(record: Mapping[str, Any], variant: Variant, dataset: Dataset) -> bool:
    """Return whether a record without pictures is of the very part that is scored."""
    same = _name(record.get("dataset")) == variant.name
    return same and dataset.disjoint and dataset.split == TRAINING_SPLIT


def _is_apart(record: Mapping[str, Any], variant: Variant, dataset: Dataset) -> bool:
    """Return whether a record without pictures is of frames that are surely not scored: a published
    training part, what another dataset draws, or ImageNet."""
    sources = record.get("imported from")
    if isinstance(sources, list) and sources and all("ImageNet" in str(text) for text in sources):
        return True
    name = _name(record.get("dataset"))
    if name == variant.name:
        return dataset.disjoint
    known = name in registry.plugins("datasets")
    return known and bool(registry.load("datasets", name).drawn)


def _name(text: object) -> str:
    """Return the name of a dataset as typed, empty where the text is none."""
    try:
        return parse_variant(str(text)).name if text else ""
    except UsageError:
        return ""
