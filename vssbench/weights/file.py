"""Weight files: safetensors with a record of what they are. Nothing executable is ever unpickled.

A file's metadata holds the method's variant, the classes, the data set and how it was trained; the
network is built from the variant, so that a file that does not fit is refused in words before
anything runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from vssbench.core import reading
from vssbench.core.errors import DataError, WeightsError
from vssbench.core.program import program
from vssbench.core.segmenter import IMAGENET_MEAN, IMAGENET_STD
from vssbench.core.variant import Variant, parse_variant
from vssbench.weights import packing, record

IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)


#: bytes read at a time
_PIECE = 1 << 20


#: the key by which the parts of a file know one another: the same text in each of them
IDENTITY = "identity"
#: the key of the record of the training
RECORD = "training"


@dataclass(frozen=True)
class WeightFile:
    """A weight file that was opened: where it lies, its metadata, its sha256. Tensors are read on
    request."""

    path: Path
    metadata: dict[str, str]

    @property
    def variant(self) -> Variant:
        return parse_variant(self.metadata["method"])

    @property
    def dataset(self) -> str:
        """The data set's name; empty where the record does not say it."""
        return self.metadata.get("dataset", "")

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(json.loads(self.metadata["classes"]))

    @property
    def training(self) -> dict[str, Any]:
        """Record of how the weights were made: command, dataset, epochs, seconds, versions."""
        return json.loads(self.metadata.get(RECORD, "{}"))

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """The colours of the classes in the dataset that the weights were trained on; empty where
        the record does not say them of each class."""
        stated = self.training.get("palette", [])
        return tuple(map(tuple, stated)) if len(stated) == len(self.classes) else ()

    @property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the RGB values in [0, 1] that the weights were trained
        with, (1, 3, 1, 1) each."""
        values = (self.metadata.get("mean"), self.metadata.get("std"))
        mean, std = (
            default if text is None else json.loads(text)
            for text, default in zip(values, IMAGENET, strict=True)
        )
        return torch.tensor(mean).view(1, 3, 1, 1), torch.tensor(std).view(1, 3, 1, 1)

    @property
    def missing(self) -> tuple[str, ...]:
        """The parts of the method that an imported checkpoint does not hold; random weights never
        stand in for them."""
        return tuple(json.loads(self.metadata.get("missing", "[]")))

    @cached_property
    def packed(self) -> packing.Record | None:
        """Return what a packed file says of itself, None of a plain one. Raises WeightsError."""
        text = self.metadata.get(packing.KEY)
        try:
            return None if text is None else packing.read_record(text)
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{self.path} has a damaged record of how it was packed: {error!r}"
            ) from error

    @property
    def parts(self) -> list[Path]:
        """The file itself, and the parts beside it where it was split."""
        packed = self.packed
        count = int(self.metadata.get("parts", "1")) if packed is None else packed.files
        return [self.path, *(part_path(self.path, number) for number in range(2, count + 1))]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, and of its parts one after the other.

        A packed file's is that of the plain file which it stands for, as its record says; reading
        the tensors compares it.
        """
        if self.packed is not None:
            return self.packed.sha256
        digest = hashlib.sha256()
        for path in self.parts:
            try:
                reading.check_readable(path)
                with path.open("rb") as content:
                    while piece := content.read(_PIECE):
                        digest.update(piece)
            except (OSError, DataError) as error:
                raise _missing(path, error) from error
        return digest.hexdigest()

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor, in float32. Raises WeightsError where a part is missing, or a file
        that this one refers to is missing or another."""
        return {name: _float32(value) for name, value in self.stored().items()}

    def usable(self) -> dict[str, Tensor]:
        """Return every tensor, in float32, to compute with.

        Raises WeightsError that names those with values that are not finite, beside what
        :meth:`tensors` raises.
        """
        state = self.tensors()
        check_finite(self.path, state)
        return state

    def stored(self) -> Mapping[str, Tensor]:
        """Return every tensor in the type that it is stored in; raises as :meth:`tensors` does."""
        return _stored_tensors(self, ())

    def plain(self) -> packing.Plain:
        """Return the bytes of the plain file that this one is or stands for."""
        if self.packed is not None:
            return _unpacked(self, ())
        return packing.Plain([_header(path) for path in self.parts], self.stored())


def _stored_tensors(file: WeightFile, users: tuple[WeightFile, ...]) -> Mapping[str, Tensor]:
    if file.packed is not None:
        return _unpacked(file, users).tensors
    return _held(file)


def _unpacked(file: WeightFile, users: tuple[WeightFile, ...]) -> packing.Plain:
    """``users`` are the files that refer to this one, so that a circle is noticed."""
    packed = file.packed
    assert packed is not None
    if file.path in [user.path for user in users]:
        raise WeightsError(f"{file.path} refers to itself, through {users[-1].path}")

    def read(reference: packing.Reference) -> Mapping[str, Tensor]:
        return _stored_tensors(_referred(file, reference), (*users, file))

    try:
        return packing.unpack(_held(file), packed, read)
    except packing.Damaged as error:
        raise WeightsError(f"{file.path} is damaged: {error}; fetch it again") from error


def _referred(file: WeightFile, reference: packing.Reference) -> WeightFile:
    """Open the file that another refers to, and compare its sha256."""
    path = file.path.with_name(reference.file)
    if not path.is_file():
        raise WeightsError(
            f"{file.path} holds only what differs from {reference.file}, which is not beside it: "
            f"put that file into {path.parent} too (SHA-256 {reference.sha256})"
        )
    other = open_weights(path)
    if other.sha256 != reference.sha256:
        raise WeightsError(
            f"{file.path} refers to a {reference.file} of SHA-256 {reference.sha256}, and the one "
            f"beside it has {other.sha256}: put back the file that it was packed with"
        )
    return other


def _header(path: Path) -> bytes:
    """Return the JSON header of a safetensors file, byte for byte."""
    with path.open("rb") as file:
        return file.read(int.from_bytes(file.read(8), "little"))


def part_path(path: Path, number: int) -> Path:
    """Return where the second and further parts of a file lie: ``NAME.safetensors.part2``."""
    return path.with_name(f"{path.name}.part{number}")


def _held(file: WeightFile) -> dict[str, Tensor]:
    """Return the tensors of a file and its parts, as they are stored there.

    Raises WeightsError where a part is missing, or was written with another first file.
    """
    identity = file.metadata.get(IDENTITY)
    return {name: value for path in file.parts for name, value in _read(path, identity).items()}


def _read(path: Path, identity: str | None) -> dict[str, Tensor]:
    try:
        reading.check_readable(path)
        with safe_open(path, framework="pt") as file:
            # files written before there was one have none, in no part
            if (file.metadata() or {}).get(IDENTITY) != identity:
                raise WeightsError(
                    f"{path} was not written together with the file that it is a part of: one of "
                    "them is of another training or import; fetch all parts of a weight file "
                    "together"
                )
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except WeightsError:
        raise
    except Exception as error:  # of what kind is the library's affair
        raise _missing(path, error) from error


def _missing(path: Path, error: Exception) -> WeightsError:
    # a part that was never fetched is no disk that went away
    alone = not path.exists() and path.parent.is_dir()
    return WeightsError(
        (not alone and reading.fault_elsewhere(path, error))
        or f"{path} is missing or damaged: {_first_line(error)}; the parts of a weight file belong "
        "together"
    )


def _first_line(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
    return reason[:200] or type(error).__name__


def _float32(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def not_finite(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Tell of each tensor that holds NaN or infinite values how many these are."""
    counts = {
        name: (int((~value.isfinite()).sum()), value.numel())
        for name, value in state.items()
        if value.is_floating_point()
    }
    return {name: f"{bad} of {all_}" for name, (bad, all_) in counts.items() if bad}


def check_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    """Raise WeightsError that names the tensors of a file with values that are not finite."""
    faulty = [f"{name} ({count} values)" for name, count in not_finite(state).items()]
    if faulty:
        more = f" and {len(faulty) - 4} more tensors" if len(faulty) > 4 else ""
        raise WeightsError(
            f"{path} holds NaN or infinite values: {', '.join(faulty[:4])}{more}; no prediction "
            "can come of them: the training that made it diverged, or the file is damaged; train "
            "anew or fetch it again"
        )


def check_file(path: Path, absent: str) -> None:
    """Raise WeightsError for a path of no file that can be read; ``absent`` says so where nothing
    is."""
    try:
        reading.check_readable(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise WeightsError(absent) from error
    except DataError as error:
        raise WeightsError(str(error)) from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error


def open_weights(path: Path) -> WeightFile:
    """Read a file's metadata. Raises WeightsError where it is missing, not safetensors, not this
    project's, or says of itself what cannot be."""
    check_file(
        path,
        f"no weight file {path}: give the path of a .safetensors file that `{program()} train` "
        "wrote",
    )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if packing.KEY in metadata and RECORD not in metadata and "" in set(file.keys()):
                # the plain file's header has it, compressed
                metadata[RECORD] = packing.plain_metadata(file.get_tensor("")).get(RECORD, "{}")
    except packing.Damaged as error:
        raise WeightsError(f"{path} is damaged: {error}; fetch it again") from error
    except Exception as error:  # of what kind is the library's affair
        raise WeightsError(f"{path} is not a safetensors file: {_first_line(error)}") from error
    if "method" not in metadata or "classes" not in metadata:
        raise WeightsError(
            f"{path} does not say which method its weights belong to (no 'method' in its "
            f"metadata); expected a file that `{program()} train` wrote"
        )
    record.check_record(path, metadata)
    return WeightFile(path, metadata)


def is_ours(path: Path) -> bool:
    """Return whether a file is one of this project's weight files.

    Raises WeightsError where there is no such file.
    """
    check_file(path, f"no weight file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            return "method" in (file.metadata() or {})
    except Exception:  # of what kind is the library's affair
        return False
