"""Turns checkpoints of the authors' code into one of our weight files, and accounts for every entry
of theirs and ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from vssbench.core import registry
from vssbench.core.classes import names_of
from vssbench.core.errors import WeightsError
from vssbench.core.machine import typed_command
from vssbench.core.program import program
from vssbench.core.segmenter import IMAGENET_MEAN, IMAGENET_STD, VideoSegmenter
from vssbench.core.variant import Value, Variant, format_value
from vssbench.core.version import __version__
from vssbench.weights.catalogue import of_method
from vssbench.weights.checkpoint import read_checkpoint
from vssbench.weights.file import check_finite
from vssbench.weights.original import Original
from vssbench.weights.torchvision import SOURCE as TORCHVISION
from vssbench.weights.torchvision import backbone_entries, is_backbone
from vssbench.weights.writing import Origin, save_state


@dataclass(frozen=True)
class Entry:
    """The fate of one entry of a checkpoint: our name, or the reason why it is not used."""

    file: str
    name: str
    ours: str | None
    reason: str | None = None


@dataclass
class Imported:
    """A method's weights as read from checkpoints. ``missing`` are names of ours that no file gave,
    as short prefixes."""

    variant: Variant
    classes: tuple[str, ...]
    state: dict[str, Tensor]
    entries: list[Entry]
    missing: list[str]
    sources: list[str]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    originals: list[Original] = field(default_factory=list)

    @property
    def used(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.ours is not None]

    @property
    def unused(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.ours is None]

    def save(self, path: Path, part_bytes: int | None = None, half: bool = False) -> list[Path]:
        """Write our weight file, with the account of every entry in its record; returns the paths.

        It is in float32, with ``half`` its large tensors are in float16.
        """
        record = {
            "command": typed_command(),
            "imported from": self.sources,
            "files": sorted({entry.file for entry in self.entries}),
            "entries used": len(self.used),
            "entries not used": [[entry.file, entry.name, entry.reason] for entry in self.unused],
            "torch": torch.__version__,
            "vssbench": __version__,
        }
        extra = {
            "mean": json.dumps(self.mean),
            "std": json.dumps(self.std),
            "missing": json.dumps(self.missing),
        }
        return save_state(
            path,
            self.state,
            Origin(self.variant, self.classes, "imported", record),
            extra,
            part_bytes,
            half=half,
        )


def import_checkpoints(
    variant: Variant,
    paths: Sequence[Path],
    classes: tuple[str, ...] | None = None,
    role: str | None = None,
) -> Imported:
    """Read the authors' checkpoints of a method: one file, or for AR-Seg the HR file and then the
    AR file.

    ``role`` says which of the two a single file is, where it could be either (a network without
    CReFF is HR). Raises WeightsError where a file is not a checkpoint of this method, contradicts
    the parameters asked for, or its tensors have other shapes than the network.
    """
    # refuses an unknown method or parameter before a file is read
    registry.resolved("methods", variant)
    files = [(path, read_checkpoint(path)) for path in paths]
    if len(files) == 1 and is_backbone(files[0][1]):
        return _import_backbone(variant, *files[0])
    chosen = _assign(variant, files, role)
    settled = variant
    for original, (path, state) in zip(chosen, files, strict=True):
        settled = _settle(settled, original, path, state)
    counts = {
        original.count_classes(state) for original, (_, state) in zip(chosen, files, strict=True)
    } - {None}
    if len(counts) > 1:
        raise WeightsError(
            f"the files have different numbers of classes ({', '.join(map(str, counts))}): they do "
            "not belong together"
        )
    outputs = counts.pop() if counts else None
    if outputs is not None and registry.load("methods", variant.name).void is not None:
        outputs -= 1  # the output of no class
    names = class_names(outputs, classes)
    model = meta_method(settled, len(names))
    state, entries = match_entries(chosen, files, model)
    return Imported(
        settled, names, state, entries, missing(model, state),
        [f"{o.name} ({o.source})" for o in chosen],
        chosen[0].mean, chosen[0].std, chosen,
    )  # fmt: skip


def _assign(
    variant: Variant, files: Sequence[tuple[Path, dict[str, Tensor]]], role: str | None
) -> list[Original]:
    """Return the original of each file: the one with the most marks, and no role twice (HR before
    AR)."""
    available = of_method(variant.name)
    if not available:
        raise WeightsError(
            f"no published checkpoint of {variant.name} is known here: train it with `{program()} "
            f"train {variant}`"
        )
    chosen: list[Original] = []
    for number, (path, state) in enumerate(files):
        fitting = [original for original in available if original.recognises(state)]
        if not fitting:
            raise WeightsError(_unknown(variant, path, state, available))
        ranked = sorted(fitting, key=lambda original: -len(original.marks))
        # the keyframe network's file comes first, whatever else it holds
        wanted = ("HR", "AR")[min(number, 1)] if len(files) > 1 else role
        ranked = [original for original in ranked if original.role == wanted] or ranked
        chosen.append(ranked[0])
    roles = [original.role for original in chosen]
    if len(roles) > 1 and len(set(roles)) < len(roles):
        raise WeightsError(
            f"{' and '.join(str(path) for path, _ in files)} are both "
            f"{'networks without CReFF' if roles[0] == 'HR' else 'the same part of the method'}: "
            "give the HR file first, then the AR file"
        )
    return chosen


def _unknown(
    variant: Variant, path: Path, state: dict[str, Tensor], available: Sequence[Original]
) -> str:
    """Tell what a file holds, and which marks of the nearest original it lacks."""
    nearest = max(
        available,
        key=lambda original: sum(mark in state for mark in original.marks) / len(original.marks),
    )
    lacking = [mark for mark in nearest.marks if mark not in state]
    known = ", ".join(dict.fromkeys(original.name for original in available))
    detail = (
        f"for {nearest.name} it lacks {', '.join(lacking)}"
        if lacking
        else f"it differs from {nearest.name}"
    )
    return (
        f"{path} is no checkpoint of {variant.name} that is known here (known: {known}): {detail}. "
        f"It holds {len(state)} entries, the first {', '.join(list(state)[:3])}"
    )


def _settle(variant: Variant, original: Original, path: Path, state: dict[str, Tensor]) -> Variant:
    """Return the variant with the parameters that the checkpoint implies. Raises WeightsError where
    one was asked for otherwise."""
    cls = registry.load("methods", variant.name)
    params: dict[str, Value] = dict(variant.params)
    for key, value in original.parameters(state).items():
        if key in params and key in cls.free_parameters:
            continue  # AR-Seg's published weights were made with warp=paper, and run with either
        if key in params and params[key] != value:
            raise WeightsError(
                f"{path} ({original.name}) is {key}={format_value(value)}, and {variant} asks for "
                f"{key}={format_value(params[key])}: leave {key} out, or give the file of that "
                "network"
            )
        if registry.parameters(cls)[key] != value:
            params[key] = value
    return Variant(variant.name, params)


def class_names(count: int | None, given: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return names of the classes by their number, unless they were given."""
    if count is None:
        return ()
    if given is not None:
        if len(given) != count:
            raise WeightsError(
                f"the checkpoint has {count} classes, and --classes names {len(given)}"
            )
        return given
    return names_of(count)


def meta_method(variant: Variant, classes: int) -> VideoSegmenter:
    """Return the method's network without storage, for at least as many classes as it takes."""
    classes = max(classes, registry.load("methods", variant.name).minimum_classes)
    with torch.device("meta"):
        model: VideoSegmenter = registry.create("methods", variant, classes=classes)
    return model


def match_entries(
    chosen: Sequence[Original],
    files: Sequence[tuple[Path, dict[str, Tensor]]],
    model: VideoSegmenter,
) -> tuple[dict[str, Tensor], list[Entry]]:
    expected = model.state_dict()
    tensors: dict[str, Tensor] = {}
    entries: list[Entry] = []
    wrong: list[str] = []
    for original, (path, state) in zip(chosen, files, strict=True):
        for name, value in state.items():
            reason, ours = original.reason_unused(name), original.rename(name)
            if reason is None and ours not in expected:
                reason = "has no counterpart in our network"
            if reason is not None:
                entries.append(Entry(path.name, name, None, reason))
                continue
            if expected[ours].shape != value.shape:
                wrong.append(
                    f"{name} is {tuple(value.shape)} instead of {tuple(expected[ours].shape)}"
                )
            elif ours in tensors and not torch.equal(tensors[ours], value):
                raise WeightsError(
                    f"{path}: {name} differs from the other file's, and both give our {ours}: "
                    "these two files do not belong together"
                )
            tensors[ours] = value
            entries.append(Entry(path.name, name, ours))
    for path, state in files:
        names = {entry.name for entry in entries if entry.file == path.name and entry.ours}
        check_finite(path, {name: value for name, value in state.items() if name in names})
    if wrong:
        raise WeightsError(
            f"{files[0][0]} does not fit our network: {'; '.join(wrong[:3])} ({len(wrong)} entries "
            "in all)"
        )
    return tensors, entries


def missing(model: VideoSegmenter, state: dict[str, Tensor]) -> list[str]:
    """Return names of ours that inference needs and that have no value, those of a whole submodule
    as its name."""
    idle = tuple(f"{prefix}." for prefix in model.training_only())
    names = [name for name in model.state_dict() if not name.endswith("num_batches_tracked")]
    names = [name for name in names if not (idle and name.startswith(idle))]
    lacking = [name for name in names if name not in state]
    short: list[str] = []
    for name in lacking:
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            prefix = ".".join(parts[:depth])
            inside = [other for other in names if other == prefix or other.startswith(f"{prefix}.")]
            if all(other not in state for other in inside):
                short.append(prefix)
                break
    return list(dict.fromkeys(short))


def _import_backbone(variant: Variant, path: Path, state: dict[str, Tensor]) -> Imported:
    """Return torchvision's ImageNet ResNet as the backbone of a method: a partial file, from which
    a training starts."""
    model = meta_method(variant, 0)
    used, unused = backbone_entries(model, state)
    if not used:
        reasons = "; ".join(dict.fromkeys(reason for _, reason in unused))
        raise WeightsError(
            f"{path} is an ImageNet ResNet of torchvision, and no entry of it fits {variant}: "
            f"{reasons}"
        )
    check_finite(path, used)
    by_identity = {id(value): name for name, value in state.items()}
    entries = [Entry(path.name, by_identity[id(value)], ours) for ours, value in used.items()]
    entries += [Entry(path.name, name, None, reason) for name, reason in unused]
    source = f"torchvision ImageNet ResNet ({TORCHVISION})"
    # two networks of a method may take the same entry, and a weight file holds each tensor by
    # itself
    used = {name: value.clone() for name, value in used.items()}
    return Imported(
        variant, (), used, entries, missing(model, used), [source], IMAGENET_MEAN, IMAGENET_STD
    )
