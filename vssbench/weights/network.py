"""Networks from weight files: built from the file's variant, its tensors checked and loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from vssbench.core import registry
from vssbench.core.classes import other_order
from vssbench.core.errors import WeightsError
from vssbench.core.program import program
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.variant import Variant, format_value
from vssbench.weights.file import WeightFile


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
            f"`{program()} train '{variant}'`"
        )


def _kind(value: Tensor) -> str:
    """Describe a tensor's shape, and its type where that is no floating point."""
    shape = str(tuple(value.shape))
    return shape if value.is_floating_point() else f"{shape} of {value.dtype}".replace("torch.", "")


def build(file: WeightFile, partial: bool = False) -> VideoSegmenter:
    """Return the method that a file's weights belong to, with those weights, in evaluation mode.

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
            f"import the other checkpoint with it, or start a training from it with "
            f"`{program()} train --init`"
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
    """Return the method whose weights a variant runs on, with its parameters: its own, but for a
    baseline that borrows a per-frame network."""
    cls = registry.load("methods", variant.name)
    # refuses what the method does not have
    registry.resolved("methods", variant)
    lent: Variant = cls.lender(variant)
    return lent


def weights_name(variant: Variant) -> str:
    """Return the name of the :func:`lender`."""
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
