"""Writing of weight files: whole or not at all, in parts where they are large."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from vssbench.core import files, outputs, registry
from vssbench.core.errors import UsageError
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.variant import Variant, format_value
from vssbench.core.version import __version__
from vssbench.weights import packing, record
from vssbench.weights.file import IDENTITY, RECORD, WeightFile, part_path

#: tensors of fewer values stay in float32: batch normalisation's statistics, biases
_HALF_FROM = 4096


def save_weights(
    path: Path,
    model: VideoSegmenter,
    variant: Variant,
    classes: tuple[str, ...],
    dataset: str,
    training: dict[str, Any],
    part_bytes: int | None = None,
) -> list[Path]:
    """Write a model's weights, large tensors in float16, each file whole or not at all; returns the
    paths.

    ``part_bytes`` splits what is larger into parts of at most that size (a single tensor is never
    split).
    """
    statistics = {
        "mean": json.dumps(model.mean.flatten().tolist()),
        "std": json.dumps(model.std.flatten().tolist()),
    }
    origin = Origin(variant, classes, dataset, training)
    return save_state(path, model.state_dict(), origin, statistics, part_bytes)


@dataclass(frozen=True)
class Origin:
    """Where weights come from: the method, its classes, the data and the record of training."""

    variant: Variant
    classes: tuple[str, ...]
    dataset: str
    training: Mapping[str, Any]


def save_state(
    path: Path,
    tensors: Mapping[str, Tensor],
    origin: Origin,
    extra: Mapping[str, str],
    part_bytes: int | None = None,
    half: bool = True,
) -> list[Path]:
    """Write named tensors as :func:`save_weights` does a model's weights.

    ``extra`` goes into the metadata, ``half=False`` keeps float32.
    """
    state = {
        name: _stored(value, half)
        for name, value in tensors.items()
        if not name.endswith("num_batches_tracked")
    }
    variant = origin.variant
    parameters = registry.resolved("methods", variant)
    groups = _parts(state, part_bytes)
    metadata = {
        "method": str(Variant(variant.name, parameters)),
        "name": variant.name,
        "classes": json.dumps(origin.classes),
        "dataset": origin.dataset,
        "training": json.dumps(origin.training),
        "vssbench": __version__,
        "parts": str(len(groups)),
        **extra,
        **{key: format_value(value) for key, value in parameters.items()},
    }
    return _write_parts(path, groups, metadata)


def _write_parts(
    path: Path, groups: list[dict[str, Tensor]], metadata: dict[str, str]
) -> list[Path]:
    if len(groups) > record.MOST_PARTS:
        raise UsageError(
            f"{path} would be split into {len(groups)} parts: at most {record.MOST_PARTS} can be "
            "read; allow larger parts"
        )
    paths = [path, *(part_path(path, number) for number in range(2, len(groups) + 1))]
    metadata = {key: value for key, value in metadata.items() if key != IDENTITY}
    own = {IDENTITY: _identity(groups, metadata)} if len(groups) > 1 else {}
    # the file with the record comes last
    for target, group in reversed(list(zip(paths, groups, strict=True))):
        _write(target, group, (metadata if target == path else {"part_of": path.name}) | own)
    return paths


def _identity(groups: list[dict[str, Tensor]], metadata: Mapping[str, str]) -> str:
    """Return a digest of all that a weight file and its parts hold, which each of them carries."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for group in groups:
        for name, value in group.items():
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(packing.content(value))
    return digest.hexdigest()


def pack(
    path: Path, file: WeightFile, others: Iterable[WeightFile], part_bytes: int | None = None
) -> list[Path]:
    """Write a file again in less space, without loss; returns the paths.

    What equals or lies near a tensor of ``others`` is not stored again. Those must lie beside
    ``path``. Raises UsageError where one does not.
    """
    references = []
    for other in others:
        if other.path.resolve().parent != path.resolve().parent:
            raise UsageError(
                f"a packed file refers to files beside it: {other.path} is not in "
                f"{path.resolve().parent}; write the packed file to {other.path.parent}"
            )
        if other.path.resolve() == path.resolve():
            raise UsageError(f"{path} cannot refer to itself: give -o another name")
        references.append((packing.Reference(other.path.name, other.sha256), other.stored()))
    plain = file.plain()
    stored, used = packing.pack(plain, references)
    groups = _parts(stored, part_bytes)
    own = packing.Record(plain.sha256, len(groups), used)
    # the record of the training is long, and stands in the plain file's header, which is compressed
    short = {key: value for key, value in file.metadata.items() if key != RECORD}
    metadata = short | {packing.KEY: own.text()}
    return _write_parts(path, groups, metadata)


def unpack(path: Path, file: WeightFile) -> list[Path]:
    """Write the plain file that a packed one stands for, byte for byte, and its parts."""
    contents = list(file.plain().content())
    paths = [path, *(part_path(path, number) for number in range(2, len(contents) + 1))]
    for target, content in reversed(list(zip(paths, contents, strict=True))):
        with files.draft(target) as draft:
            draft.write_bytes(content)
    return paths


def check_output(
    path: Path, inputs: Iterable[Path] = (), force: bool = False, option: str = "-o"
) -> None:
    """Raise UsageError or DataError where weights may not or cannot be written; see
    :func:`vssbench.core.outputs.check_output`. Parts beside the file count as the file."""
    outputs.check_regular(path, option)
    for place in (path, *sorted(path.parent.glob(f"{glob.escape(path.name)}.part*"))):
        outputs.check_output(place, inputs, force, option)


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    with files.draft(path) as draft:
        try:
            save_file(tensors, draft, metadata)
        except SafetensorError as error:  # what it makes of every error of the system
            raise files.refusal(path, error) from error


def _parts(state: dict[str, Tensor], limit: int | None) -> list[dict[str, Tensor]]:
    """Return the tensors in order, in groups of at most ``limit`` bytes."""
    groups: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in state.items():
        if limit is not None and groups[-1] and size + value.nbytes > limit:
            groups.append({})
            size = 0
        groups[-1][name] = value
        size += value.nbytes
    return groups


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu().contiguous()
    if value.is_floating_point() and half:
        short = value.half() if value.numel() >= _HALF_FROM else value.float()
        # float16 ends at 65504: what is beyond it would become infinite
        return short if torch.equal(short.isfinite(), value.isfinite()) else value.float()
    return value
