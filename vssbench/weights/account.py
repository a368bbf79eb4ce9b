"""Says in plain data what an import did, and what a file holds, ours or the authors'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from vssbench.core.program import program
from vssbench.weights.catalogue import catalogue
from vssbench.weights.checkpoint import read_checkpoint
from vssbench.weights.file import is_ours, not_finite, open_weights
from vssbench.weights.importer import Imported
from vssbench.weights.torchvision import is_backbone


def account(imported: Imported, paths: Sequence[Path]) -> dict[str, Any]:
    """Summarise the entries: how many are used, which are not and why, and ours without a value."""
    reasons: dict[str, list[str]] = {}
    for entry in imported.unused:
        reasons.setdefault(entry.reason or "", []).append(entry.name)
    return {
        "method": str(imported.variant),
        "classes": len(imported.classes),
        "sources": imported.sources,
        "used": len(imported.used),
        "entries": {entry.name: entry.ours for entry in imported.used},
        "not used": reasons,
        "missing": imported.missing,
        "mean": imported.mean,
        "std": imported.std,
        "files": [str(path) for path in paths],
    }


def describe(path: Path) -> dict[str, Any]:
    """Describe the contents of a file.

    Raises WeightsError where it is neither ours nor a checkpoint.
    """
    return _describe_ours(path) if is_ours(path) else _describe_checkpoint(path)


def _describe_ours(path: Path) -> dict[str, Any]:
    file = open_weights(path)
    tensors = file.tensors()
    mean, std = (value.flatten().tolist() for value in file.statistics)
    training = file.training
    described: dict[str, Any] = {
        "file": str(path),
        "method": str(file.variant),
        "classes": list(file.classes),
        "values": sum(value.numel() for value in tensors.values()),
        "entries": len(tensors),
        "files": [f"{part.name} ({part.stat().st_size / 2**20:.1f} MiB)" for part in file.parts],
        "sha256": file.sha256,
        "mean": [round(value, 6) for value in mean],
        "std": [round(value, 6) for value in std],
        "missing": list(file.missing),
        "not finite": _not_finite(tensors),
        "vssbench": file.metadata.get("vssbench", "unknown"),
    }
    if file.packed is not None:
        described["refers to"] = [
            f"{reference.file} ({len(reference.same)} entries equal, {len(reference.near)} as a "
            "difference)"
            for reference in file.packed.references
        ]
    if "imported from" in training:
        described["imported from"] = training["imported from"]
        described["entries not used"] = len(training.get("entries not used", []))
    else:
        described["trained on"] = training.get("dataset", file.dataset or "unknown")
        described["trained for"] = (
            f"{len(training.get('history', []))} epochs, {training.get('seconds', 0)} s"
        )
    described["command"] = training.get("command", "unknown")
    return described


def _not_finite(state: Mapping[str, Tensor]) -> list[str]:
    return [f"{name} ({count} values)" for name, count in not_finite(state).items()]


def _describe_checkpoint(path: Path) -> dict[str, Any]:
    state = read_checkpoint(path)
    fitting = [original for original in catalogue() if original.recognises(state)]
    names = [f"{original.name}, into {original.method}" for original in fitting]
    if is_backbone(state):
        names.append("torchvision ImageNet ResNet, into any method with that backbone")
    return {
        "file": str(path),
        "entries": len(state),
        "values": sum(value.numel() for value in state.values()),
        "not finite": _not_finite(state),
        "recognised as": names,
        "first entries": [
            f"{name} {tuple(value.shape)}" for name, value in list(state.items())[:5]
        ],
        "next": f"{program()} weights import METHOD {path}"
        if names
        else "no original known here has these entries",
    }
