"""Parts of a network that a phase leaves as they are."""

from __future__ import annotations

from torch import nn

from vssbench.core.segmenter import VideoSegmenter


def freeze(
    model: VideoSegmenter, frozen: tuple[str, ...], batch_norm: tuple[str, ...] = ()
) -> None:
    """Put the model in training mode but for the ``frozen`` submodules and for the batch
    normalisation in those named by ``batch_norm``: these keep their weights and their statistics.
    """
    model.train()
    model.requires_grad_(True)
    for name in frozen:
        model.get_submodule(name).eval().requires_grad_(False)
    for name in batch_norm:
        for layer in normalisations(model, name).values():
            layer.eval().requires_grad_(False)


def normalisations(model: VideoSegmenter, part: str) -> dict[str, nn.Module]:
    """Return every batch normalisation in a submodule, by its name in the model."""
    kind = nn.modules.batchnorm._BatchNorm
    layers = model.get_submodule(part).named_modules(prefix=part)
    return {name: layer for name, layer in layers if isinstance(layer, kind)}


def untrained(
    model: VideoSegmenter, frozen: tuple[str, ...], batch_norm: tuple[str, ...]
) -> set[str]:
    """Return the names of the parameters that :func:`freeze` leaves as they are."""
    parts = tuple(
        f"{name}."
        for name in (*frozen, *(n for part in batch_norm for n in normalisations(model, part)))
    )
    return {name for name, _ in model.named_parameters() if parts and name.startswith(parts)}
