"""The weight files that come with the project, and the choice among them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from vssbench.core import registry
from vssbench.core.errors import WeightsError
from vssbench.core.home import expanded
from vssbench.core.program import program
from vssbench.core.variant import Variant
from vssbench.weights.file import WeightFile, open_weights
from vssbench.weights.network import fitting, lender, weights_name


def closest(variant: Variant, files: Sequence[WeightFile], classes: int) -> WeightFile | None:
    """Return the one of the files given for a method that fits best; None where none is of the
    method.

    First those of as many classes, then the one whose parameters differ least.
    """
    lent = lender(variant)

    def apart(file: WeightFile) -> tuple[bool, int]:
        own = variant if file.variant.name == variant.name else lent
        asked = registry.resolved("methods", own)
        stored = registry.resolved("methods", file.variant)
        differing = sum(asked[key] != stored[key] for key in asked if key in stored)
        return len(file.classes) != classes, differing

    given = [file for file in files if file.variant.name in (variant.name, lent.name)]
    return min(given, key=apart, default=None)


#: names the folder of the shipped weights where the package was installed without a checkout
VARIABLE = "VSSBENCH_WEIGHTS"


def shipped_folder() -> Path:
    """Return the folder of the weights that come with a checkout, or the one that the environment
    names."""
    given = os.environ.get(VARIABLE)
    return expanded(given) if given else Path(__file__).resolve().parents[2] / "weights"


def none_here() -> str:
    """Say where shipped weights are to be had, where this installation has none at all."""
    if any(shipped_folder().glob("*.safetensors")):
        return ""
    if os.environ.get(VARIABLE):
        return (
            f"{VARIABLE} names {shipped_folder()}, which holds no weight files: set it to the "
            "folder weights/ of a checkout, give --weights FILE, or train some"
        )
    return (
        f"this installation came without shipped weights: set {VARIABLE} to the folder weights/ of "
        "a checkout, give --weights FILE, or train some"
    )


def shipped(name: str, dataset: str, classes: tuple[str, ...]) -> list[WeightFile]:
    """Return the files of ``weights/`` for a method on a dataset, in the order of their names."""
    files = [_opened(path, _state(path)) for path in sorted(shipped_folder().glob("*.safetensors"))]
    return [
        file
        for file in files
        if file.variant.name == name
        and file.dataset == dataset
        and len(file.classes) == len(classes)
    ]


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes with a file's content; nothing where there is none."""
    try:
        own = path.stat()
    except OSError:
        return ()  # opening it says what is wrong
    return own.st_ino, own.st_size, own.st_mtime_ns


@lru_cache(256)
def _opened(path: Path, _state: tuple[int, ...]) -> WeightFile:
    """Read a file's metadata once: each method of a grid asks for all files."""
    return open_weights(path)


def choose_shipped(
    variant: Variant, dataset: str, classes: tuple[str, ...]
) -> tuple[Variant, WeightFile]:
    """Return the shipped weights that fit a variant, and the variant with every parameter that they
    settle.

    A parameter that was not given takes the weights' value (``pspnet`` becomes
    ``pspnet[width=0.25]`` where only that width was trained); one that was given must agree, unless
    it is free (a scale). The closest file wins.
    """
    candidates = []
    lent = lender(variant)
    files = shipped(lent.name, dataset, classes)
    cls = registry.load("methods", lent.name)
    asked = registry.resolved("methods", lent)
    for file in files:
        stored = registry.resolved("methods", file.variant)
        fixed = {
            key: value
            for key, value in lent.params.items()
            if key in stored and key not in cls.free_parameters
        }
        if any(stored[key] != value for key, value in fixed.items()):
            continue
        apart = sum(stored[key] != asked[key] for key in cls.free_parameters if key in stored)
        apart_default = sum(stored[key] != asked[key] for key in asked if key in stored)
        candidates.append((apart, apart_default, file.path.name, file))
    if not candidates:
        if missing := none_here():
            raise WeightsError(missing)
        there = ", ".join(str(fitting(file.variant, file)) for file in files) or "none"
        name = weights_name(variant)
        trained = variant if name == variant.name else name
        raise WeightsError(
            f"no weights of {variant} for {dataset} ({len(classes)} classes) are shipped (there "
            f"are: {there}). Train them with `{program()} train '{trained}' -d {dataset} --out "
            "FILE` and pass --weights FILE; random weights are never scored"
        )
    file = min(candidates, key=lambda item: item[:3])[3]
    return fitting(variant, file), file
