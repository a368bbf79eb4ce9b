"""Turns a checkpoint whose names match a method's, or nearly, into a weight file, by rules that a
user writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vssbench.core import reading, registry
from vssbench.core.errors import DataError, WeightsError
from vssbench.core.program import program
from vssbench.core.segmenter import IMAGENET_MEAN, IMAGENET_STD, VideoSegmenter
from vssbench.core.variant import Variant
from vssbench.weights.checkpoint import read_checkpoint
from vssbench.weights.importer import Imported, class_names, match_entries, meta_method, missing
from vssbench.weights.original import Original, State, image_logits

Statistics = tuple[float, float, float]
#: keys of a file of rules
KEYS = ("rename", "unused")


@dataclass(frozen=True)
class Rules:
    """``rename``: regular expression and replacement, applied to each entry's name in order;
    ``unused``: regular expression of entries to leave out, and the reason."""

    rename: tuple[tuple[str, str], ...] = ()
    unused: tuple[tuple[str, str], ...] = ()


def read_rules(path: Path) -> Rules:
    """Read a TOML file of rules. Raises WeightsError that names the first fault."""
    try:
        content = reading.read_toml(path)
    except (OSError, ValueError, RecursionError, DataError) as error:
        raise WeightsError(f"--map {path} cannot be read as TOML: {error}") from error
    unknown = sorted(set(content) - set(KEYS))
    if unknown:
        raise WeightsError(
            f"--map {path}: unknown key {unknown[0]!r}; expected {' and '.join(KEYS)}"
        )
    return Rules(*(_pairs(path, key, content.get(key, [])) for key in KEYS))


def _pairs(path: Path, key: str, value: Any) -> tuple[tuple[str, str], ...]:
    pairs = []
    for pair in value if isinstance(value, list) else [value]:
        if not (
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(t, str) for t in pair)
        ):
            raise WeightsError(
                f"--map {path}: {key} holds {pair!r}; expected pairs of texts, as "
                f'{key} = [["^backbone\\\\.", "net.backbone."]]'
            )
        try:
            re.sub(pair[0], pair[1] if key == "rename" else "", "")
        except (re.error, IndexError, OverflowError, RecursionError) as error:
            raise WeightsError(
                f"--map {path}: {pair!r} is no regular expression: {error}"
            ) from error
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def convert(
    variant: Variant,
    path: Path,
    classes: str,
    rules: Rules,
    mean: Statistics = IMAGENET_MEAN,
    std: Statistics = IMAGENET_STD,
) -> Imported:
    """Read a checkpoint into a method whose names it has, or has after ``rules``.

    ``classes`` is their number, or their names separated by commas. Where the method keeps the
    network in one submodule (``self.net``), its name is put before every entry's by itself. Raises
    WeightsError that lists what is left over on either side.
    """
    registry.resolved("methods", variant)
    names = _names(classes)
    state = read_checkpoint(path)
    model = meta_method(variant, len(names))
    prefix = _prefix(model, state, rules)
    original = Original(
        name=f"{path.name}, converted", source=f"{program()} weights convert", method=variant.name,
        marks=(), classifier=None, outputs=image_logits,
        rules=(*rules.rename, *(((r"^", prefix),) if prefix else ())),
        unused=rules.unused, mean=mean, std=std,
    )  # fmt: skip
    tensors, entries = match_entries([original], [(path, state)], model)
    lacking = missing(model, tensors)
    if lacking:
        left = [
            entry.name for entry in entries if entry.reason == "has no counterpart in our network"
        ]
        raise WeightsError(
            f"{path} does not fill {variant} of {len(names)} classes: {_some(lacking)} of ours get "
            f"no value, and {_some(left) if left else 'none'} of the file's fit nowhere; say in "
            "--map RULES.toml how its names become ours (docs/weights.md)"
        )
    return Imported(variant, names, tensors, entries, [], [original.name], mean, std, [original])


def _names(classes: str) -> tuple[str, ...]:
    """Return the classes' names: those given, or by their number."""
    if not classes.strip().isdigit():
        return tuple(name.strip() for name in classes.split(","))
    count = int(classes)
    if count < 2:
        raise WeightsError(f"--classes {count}: expected 2 or more, or names separated by commas")
    return class_names(count, None)


def _prefix(model: VideoSegmenter, state: State, rules: Rules) -> str:
    """Return the submodule's name that makes most of the file's names ours; empty where none is
    needed."""
    ours = set(model.state_dict())
    plain = Original("", "", "", (), None, rules.rename, image_logits)
    theirs = [plain.rename(name) for name in state]

    def fits(prefix: str) -> int:
        return sum(f"{prefix}{name}" in ours for name in theirs)

    return max(("", *(f"{name}." for name, _ in model.named_children())), key=fits)


def parse_statistics(text: str | None, option: str, bgr: bool, default: Statistics) -> Statistics:
    """Return three numbers of R, G and B, of [0, 1] or of grey levels (any over 1); ``bgr`` where
    they are listed the other way. Raises WeightsError for anything else."""
    if text is None:
        return default
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    fits = len(values) == 3 and all(0 <= value < 256 for value in values)
    if not fits or (option == "--std" and 0 in values):
        raise WeightsError(
            f"{option} {text!r}: expected three numbers of R, G and B separated by commas, between "
            "0 and 1 or in grey levels up to 255"
        )
    if max(values) > 1:
        values = [value / 255 for value in values]
    first, second, third = reversed(values) if bgr else values
    return first, second, third


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
