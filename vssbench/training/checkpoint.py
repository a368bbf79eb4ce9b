"""Training checkpoints: everything that is needed to go on as if training had never stopped,
written atomically."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from vssbench.core import files, outputs
from vssbench.core.errors import UsageError, WeightsError


@dataclass
class Checkpoint:
    """State between two epochs. ``identity`` is what must be equal for a training to be resumed;
    ``scaler`` is that of fp16 gradients, empty in other precisions; ``best`` holds the fields of
    ``validation.Best``, where the phase was judged; ``gradients`` is what the check of the layers
    found in each phase."""

    identity: dict[str, str]
    phase: int
    epoch: int
    model: dict[str, Any]
    optimiser: dict[str, Any]
    seconds: float
    history: list[dict[str, Any]]
    scaler: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] | None = None
    gradients: dict[str, dict[str, Any]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it whole or not at all: a crash leaves the previous checkpoint. Raises
        DataError."""
        with files.draft(path) as draft:
            try:
                with draft.open("wb") as file:
                    torch.save(asdict(self), file)
            except RuntimeError as error:
                # what torch makes of every error of the system, which it hides
                hidden = error.__context__
                reason = hidden if isinstance(hidden, OSError) else error
                raise files.refusal(path, reason) from error


def checkpoint_path(out: Path) -> Path:
    """Return where the checkpoint of a training lies: beside the weights that will come of it."""
    return out.with_name(f"{out.name}.checkpoint")


def best_path(out: Path) -> Path:
    """Return where the last phase's best state so far is kept as weights."""
    return out.with_name(f"{out.stem}.best{out.suffix}")


def curve_path(out: Path) -> Path:
    """Return where the curves of loss and score are drawn."""
    return out.with_name(f"{out.name}.curve.png")


def check_beside(out: Path, inputs: Collection[Path], allowed: bool) -> None:
    """Raise UsageError where a training would write over an input, or over what an earlier training
    left beside its weights without having been ``allowed`` to."""
    checkpoint = checkpoint_path(out)
    if checkpoint.exists() and not allowed:
        raise UsageError(
            f"an interrupted training left its checkpoint {checkpoint}: --resume goes on from it, "
            "--force starts anew and replaces it"
        )
    for path in (checkpoint, best_path(out), curve_path(out)):
        outputs.check_regular(path, "--out: beside it,")
        outputs.check_output(path, inputs, allowed, "--out: beside it,")


def load_checkpoint(path: Path, identity: dict[str, str]) -> Checkpoint:
    """Read a checkpoint of the same training. Raises WeightsError where it is missing, broken or
    another training's."""
    if not path.is_file():
        raise WeightsError(
            f"nothing to resume: there is no checkpoint {path}; leave out --resume to start anew"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint = Checkpoint(**content)
    except Exception as error:  # torch raises half a dozen types for a damaged file
        raise WeightsError(
            f"the checkpoint {path} is damaged ({error}): copy it again, or train anew with "
            "--force and without --resume"
        ) from error
    for key, value in identity.items():
        if checkpoint.identity.get(key) != value:
            raise WeightsError(
                f"the checkpoint {path} was made with {key}={checkpoint.identity.get(key)!r}, and "
                f"this training has {value!r}: use the same options, or another --out"
            )
    return checkpoint
