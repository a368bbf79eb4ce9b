"""Weight files: safetensors with a record of what they are. Nothing executable is ever unpickled.

A file's metadata holds the method's variant, the classes, the data set and how it was trained; the
network is built from the variant, so that a file that does not fit is refused in words before
anything runs.
"""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vssbench.core import files, registry
from vssbench.core.classes import other_order
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.segmenter import IMAGENET_MEAN, IMAGENET_STD, VideoSegmenter
from vssbench.core.variant import Variant, format_value, parse_variant
from vssbench.core.version import __version__
from vssbench.weights import packing, record

IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)

#: tensors of fewer values stay in float32: batch normalisation's statistics, biases
_HALF_FROM = 4096
#: bytes read at a time
_PIECE = 1 << 20
#: the key by which the parts of a file know one another: the same text in each of them
IDENTITY = "identity"


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
        return json.loads(self.metadata.get("training", "{}"))

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
                with path.open("rb") as content:
                    while piece := content.read(_PIECE):
                        digest.update(piece)
            except OSError as error:
                raise _missing(path, error) from error
        return digest.hexdigest()

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor, in float32. Raises WeightsError where a part is missing, or a file that
        this one refers to is missing or another."""
        return {name: _float32(value) for name, value in self.stored().items()}

    def usable(self) -> dict[str, Tensor]:
        """Every tensor, in float32, to compute with.

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
    """Where the second and further parts of a file lie: ``NAME.safetensors.part2``."""
    return path.with_name(f"{path.name}.part{number}")


def _held(file: WeightFile) -> dict[str, Tensor]:
    """Return the tensors of a file and its parts, as they are stored there.

    Raises WeightsError where a part is missing, or was written with another first file.
    """
    identity = file.metadata.get(IDENTITY)
    return {name: value for path in file.parts for name, value in _read(path, identity).items()}


def _read(path: Path, identity: str | None) -> dict[str, Tensor]:
    try:
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
    return WeightsError(
        f"{path} is missing or damaged: {_first_line(error)}; the parts of a weight file belong "
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


def open_weights(path: Path) -> WeightFile:
    """Read a file's metadata. Raises WeightsError where it is missing, not safetensors, not this
    project's, or says of itself what cannot be."""
    if not path.is_file():
        raise WeightsError(
            f"no weight file {path}: give the path of a .safetensors file that `bench.py train` "
            "wrote"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except Exception as error:  # of what kind is the library's affair
        raise WeightsError(f"{path} is not a safetensors file: {_first_line(error)}") from error
    if "method" not in metadata or "classes" not in metadata:
        raise WeightsError(
            f"{path} does not say which method its weights belong to (no 'method' in its "
            "metadata); expected a file that `bench.py train` wrote"
        )
    record.check_record(path, metadata)
    return WeightFile(path, metadata)


def is_ours(path: Path) -> bool:
    """Return whether a file is one of this project's weight files.

    Raises WeightsError where there is no such file.
    """
    if not path.is_file():
        raise WeightsError(f"no weight file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            return "method" in (file.metadata() or {})
    except Exception:  # of what kind is the library's affair
        return False


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
    metadata = file.metadata | {packing.KEY: packing.Record(plain.sha256, len(groups), used).text()}
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
    """Raises UsageError or DataError where weights may not or cannot be written; see
    :func:`vssbench.core.files.check_output`. Parts beside the file count as the file."""
    files.check_regular(path, option)
    for place in (path, *sorted(path.parent.glob(f"{glob.escape(path.name)}.part*"))):
        files.check_output(place, inputs, force, option)


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    with files.draft(path) as draft:
        try:
            save_file(tensors, draft, metadata)
        except SafetensorError as error:  # what it makes of every error of the system
            raise files.refusal(path, error) from error


def _parts(state: dict[str, Tensor], limit: int | None) -> list[dict[str, Tensor]]:
    """The tensors in order, in groups of at most ``limit`` bytes."""
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


def load_into(
    model: VideoSegmenter, variant: Variant, classes: tuple[str, ...], file: WeightFile
) -> None:
    """Put a file's weights into a model. Raises WeightsError that says what the file holds and what
    was asked for."""
    check_fit(variant, classes, file)
    state = file.usable()
    _check_tensors(model, variant, file.path, state)
    model.load_state_dict(state, strict=False)
    set_statistics(model, file)


def _check_tensors(
    model: VideoSegmenter,
    variant: Variant,
    path: Path,
    state: Mapping[str, Tensor],
    partial: bool = False,
) -> None:
    """Compare names, shapes and types of tensors with a model's; ``partial`` allows missing ones.

    Raises WeightsError that names what does not fit.
    """
    expected = model.state_dict()
    idle = tuple(f"{prefix}." for prefix in model.training_only())
    wrong = []
    for name, value in expected.items():
        if name in state:
            found, wanted = _kind(state[name]), _kind(value)
            if found != wanted:
                wrong.append(f"{name}: {found} instead of {wanted}")
        elif not (
            partial or name.endswith("num_batches_tracked") or (idle and name.startswith(idle))
        ):
            wrong.append(f"{name}: missing instead of {_kind(value)}")
    unknown = [f"{name}: not in the network" for name in state if name not in expected]
    if wrong or unknown:
        raise WeightsError(
            f"{path} does not fit {variant}: {'; '.join(wrong[:3] + unknown[:3])}. Train anew with "
            f"`bench.py train '{variant}'`"
        )


def _kind(value: Tensor) -> str:
    """Describe a tensor's shape, and its type where that is no floating point."""
    shape = str(tuple(value.shape))
    return shape if value.is_floating_point() else f"{shape} of {value.dtype}".replace("torch.", "")


def build(file: WeightFile, partial: bool = False) -> VideoSegmenter:
    """The method that a file's weights belong to, with those weights, in evaluation mode.

    ``partial`` takes a file that holds a part of the method alone (an AR checkpoint without its HR
    network); what is missing is NaN, so that nothing can come of it unnoticed. Raises WeightsError
    where the file does not fit.
    """
    fewest = registry.load("methods", file.variant.name).minimum_classes
    model: VideoSegmenter = registry.create(
        "methods", file.variant, classes=max(fewest, len(file.classes))
    )
    if not (partial and file.missing):
        load_into(model, file.variant, file.classes, file)
        return model.eval()
    state = file.usable()
    _check_tensors(model, file.variant, file.path, state, partial=True)
    for name, value in model.state_dict().items():
        if value.is_floating_point() and name not in ("mean", "std"):
            value.fill_(float("nan"))
    model.load_state_dict(state, strict=False)
    set_statistics(model, file)
    return model.eval()


def set_statistics(model: VideoSegmenter, file: WeightFile) -> None:
    """Let a model normalise images as the file's weights expect them."""
    for buffer, value in zip((model.mean, model.std), file.statistics, strict=True):
        buffer.copy_(value)


def check_fit(
    variant: Variant,
    classes: tuple[str, ...],
    file: WeightFile,
    scored: Sequence[str] | None = None,
) -> None:
    """Compare method, parameters and classes of a file with what is asked for, before a network is
    built. ``scored`` are its classes without those that stand for no class, where it has such."""
    held = file.variant
    if file.missing:
        raise WeightsError(
            f"{file.path} holds a part of {held} alone (missing: {', '.join(file.missing)}): "
            "import the other checkpoint with it, or start a training from it with `bench.py train "
            "--init`"
        )
    if held.name not in (variant.name, weights_name(variant)):
        raise WeightsError(
            f"{file.path} holds weights of {held}, and {variant} was asked for: choose -m "
            f"{held.name!r}"
        )
    own = variant if held.name == variant.name else lender(variant)
    cls = registry.load("methods", own.name)
    asked, stored = registry.resolved("methods", own), registry.resolved("methods", held)
    for key, value in asked.items():
        if key in stored and key not in cls.free_parameters and stored[key] != value:
            raise WeightsError(
                f"{file.path} holds weights of {key}={format_value(stored[key])}, and {variant} "
                f"has {key}={format_value(value)}: ask for -m '{fitting(variant, file)}', or train "
                f"weights of that {key}"
            )
    classified = file.classes if scored is None else scored
    if len(classified) != len(classes):
        hint = (
            "; if an output stands for no class, name it: --without NAME"
            if len(classified) > len(classes)
            else ""
        )
        raise WeightsError(
            f"{file.path} was trained on {len(classified)} classes ({', '.join(classified)}), and "
            f"the dataset has {len(classes)} ({', '.join(classes)}){hint}"
        )
    wrong = other_order(classified, classes)
    if wrong:
        raise WeightsError(
            f"{file.path} has the dataset's classes in another order: {wrong}. Scores would be "
            "wrong; train weights on this dataset, or put its classes in the weights' order "
            f"({', '.join(file.classes)})"
        )


def lender(variant: Variant) -> Variant:
    """The method whose weights a variant runs on, with its parameters: its own, but for a baseline
    that borrows a per-frame network."""
    cls = registry.load("methods", variant.name)
    # refuses what the method does not have
    registry.resolved("methods", variant)
    lent: Variant = cls.lender(variant)
    return lent


def weights_name(variant: Variant) -> str:
    """The name of the :func:`lender`."""
    return lender(variant).name


def fitting(variant: Variant, file: WeightFile) -> Variant:
    """Return the variant as typed, but with the file's parameters where they must agree.

    Those left open at its default stay out.
    """
    lent = lender(variant)
    if lent != variant and file.variant.name == lent.name:
        borrower = registry.load("methods", variant.name)
        settled: Variant = borrower.borrowing(variant, fitting(lent, file))
        return settled
    cls = registry.load("methods", variant.name)
    stored, defaults = registry.resolved("methods", file.variant), registry.parameters(cls)
    params = {
        key: value if key in cls.free_parameters else stored.get(key, value)
        for key, value in variant.params.items()
    }
    for key, value in stored.items():
        if (
            key in defaults
            and key not in params
            and key not in cls.free_parameters
            and value != defaults[key]
        ):
            params[key] = value
    return Variant(variant.name, params)


def closest(variant: Variant, files: Sequence[WeightFile], classes: int) -> WeightFile | None:
    """The one of the files given for a method that fits best; None where none is of the method.

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


def shipped_folder() -> Path:
    """The folder of the weights that come with a checkout."""
    return Path(__file__).resolve().parents[2] / "weights"


def shipped(name: str, dataset: str, classes: tuple[str, ...]) -> list[WeightFile]:
    """The files of ``weights/`` for a method on a dataset, in the order of their names."""
    files = [open_weights(path) for path in sorted(shipped_folder().glob("*.safetensors"))]
    return [
        file
        for file in files
        if file.variant.name == name
        and file.dataset == dataset
        and len(file.classes) == len(classes)
    ]


def choose_shipped(
    variant: Variant, dataset: str, classes: tuple[str, ...]
) -> tuple[Variant, WeightFile]:
    """The shipped weights that fit a variant, and the variant with every parameter that they
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
        there = ", ".join(str(fitting(file.variant, file)) for file in files) or "none"
        name = weights_name(variant)
        trained = variant if name == variant.name else name
        raise WeightsError(
            f"no weights of {variant} for {dataset} ({len(classes)} classes) are shipped (there "
            f"are: {there}). Train them with `bench.py train '{trained}' -d {dataset} --out FILE` "
            "and pass --weights FILE; random weights are never scored"
        )
    file = min(candidates, key=lambda item: item[:3])[3]
    return fitting(variant, file), file
