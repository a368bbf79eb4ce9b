"""Training checkpoints: everything that is needed to go on as if training had never stopped, written atomically."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from vssbench.errors import WeightsError


@dataclass
class Checkpoint:
    """State between two epochs. ``identity`` is what must be equal for a training to be resumed; ``scaler`` is that of fp16
    gradients, empty in other precisions; ``best`` holds the fields of ``validation.Best``, where the phase was judged;
    ``gradients`` is what the check of the layers found in each phase."""

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
        """Write under a temporary name, then rename: a crash leaves the previous checkpoint whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        torch.save(asdict(self), temporary)
        os.replace(temporary, path)


def load_checkpoint(path: Path, identity: dict[str, str]) -> Checkpoint:
    """Read a checkpoint of the same training. Raises WeightsError where it is missing, broken or another training's."""
    if not path.is_file():
        raise WeightsError(f"nothing to resume: there is no checkpoint {path}; leave out --resume to start anew")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint = Checkpoint(**content)
    except Exception as error:  # torch raises half a dozen types for a damaged file
        raise WeightsError(f"the checkpoint {path} is damaged ({error}); delete it and train anew") from error
    for key, value in identity.items():
        if checkpoint.identity.get(key) != value:
            raise WeightsError(
                f"the checkpoint {path} was made with {key}={checkpoint.identity.get(key)!r}, and this training has "
                f"{value!r}: use the same options, or another --out"
            )
    return checkpoint
